/**
 * The token travels in the URL fragment (`#t=…`), which no browser sends to a server and which
 * therefore reaches no log. Claims are read for display alone; only the server verifies them.
 */

/** Token of a fragment such as "#t=abc&lang=en", or null. */
export function tokenOfFragment(hash) {
  return new URLSearchParams((hash ?? "").replace(/^#/, "")).get("t") || null;
}

/** The full link that opens this page again elsewhere. */
export function shareableLink(href, token) {
  const url = new URL(href);
  url.hash = new URLSearchParams({ t: token }).toString();
  return url.toString();
}

/** Unverified claims of a JWT, {} if it is not one. */
export function claimsOf(token) {
  const part = (token ?? "").split(".")[1];
  if (!part) return {};
  try {
    const bytes = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
    const claims = JSON.parse(text);
    return claims !== null && typeof claims === "object" ? claims : {};
  } catch {
    // An opaque token shows nothing; the server's answer still names the commune.
    return {};
  }
}

/**
 * Takes the token out of the address bar and keeps it for reloads.
 *
 * keep: storages, the first is also read first. A commune's page keeps it in localStorage too, so
 * that a bookmark made from the clean address bar opens on the same computer; the studio and the
 * operator keep it for the tab alone.
 *
 * @returns {string|null}
 */
export function takeToken({ location, history, keep }) {
  const key = `wardcast.token:${location.pathname}`;
  const fresh = tokenOfFragment(location.hash);
  if (fresh) {
    for (const storage of keep) quietly(() => storage.setItem(key, fresh));
    history.replaceState(history.state, "", location.pathname + location.search);
    return fresh;
  }
  for (const storage of keep) {
    const kept = quietly(() => storage.getItem(key));
    if (kept) return kept;
  }
  return null;
}

function quietly(action) {
  try {
    return action();
  } catch {
    // Storage is closed to the page (private mode, policy): the token lives until a reload.
    return null;
  }
}
