/** The `Link` header (RFC 8288) as WHIP and WHEP servers send it: ICE servers and extensions. */

const TARGET = /[\s,]*<([^>]*)>/y;
const PART = /\s*;\s*([\w!#$&+.^`|~*-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/y;

/** @typedef {{target: string, parameters: Record<string, string>}} Link */

/**
 * All links of a header value (several headers joined by commas); what does not parse ends it.
 * @returns {Link[]}
 */
export function parseLinks(header) {
  const links = [];
  let at = 0;
  for (;;) {
    TARGET.lastIndex = at;
    const target = TARGET.exec(header ?? "");
    if (!target) return links;
    at = TARGET.lastIndex;
    const parameters = {};
    for (;;) {
      PART.lastIndex = at;
      const part = PART.exec(header);
      if (!part) break;
      at = PART.lastIndex;
      const value = part[2] ?? part[3] ?? "";
      parameters[part[1].toLowerCase()] ??= value.replace(/\\(.)/g, "$1");
    }
    links.push({ target: target[1], parameters });
  }
}

/** RTCIceServer entries of the links with rel="ice-server" (RFC 9725 section 4.6). */
export function iceServers(links) {
  return links
    .filter((link) => link.parameters.rel === "ice-server")
    .map(({ target, parameters: { username, credential } }) =>
      username === undefined ? { urls: target } : { urls: target, username, credential },
    );
}

export const REL_LAYER = "urn:ietf:params:whep:ext:core:layer";

/** Target of the WHEP layer extension, or null. */
export function layerLink(links) {
  return links.find((one) => one.parameters.rel === REL_LAYER)?.target ?? null;
}

export const REL_EVENTS = "urn:ietf:params:whep:ext:core:server-sent-events";

/** Target of the WHEP events extension and the event names it offers, or null. */
export function eventsLink(links) {
  const link = links.find((one) => one.parameters.rel === REL_EVENTS);
  if (!link) return null;
  const names = (link.parameters.events ?? "").split(",").map((name) => name.trim());
  return { target: link.target, events: names.filter(Boolean) };
}
