/**
 * The HTTP half that WHIP and WHEP share (RFC 9725, WHEP draft): POST once, then PATCH, DELETE and
 * GET of its resource. Every refusal is an HttpProblem.
 *
 * The token goes to the endpoint's own origin, if that is the hub's or one that the hub has named,
 * and to no other: a 307 to a relay carries a ticket of its own in the Location (browsers drop
 * Authorization there too), and the session that comes of it has its key in its URL.
 */

import { HttpProblem, detailOf, retryAfterS } from "../core/problem.js";
import { eventsLink, iceServers, layerLink, parseLinks } from "../core/link_header.js";

export const SDP_TYPE = "application/sdp";
export const FRAGMENT_TYPE = "application/trickle-ice-sdpfrag";
export const TIMEOUT_MS = 8000;

/** fetch as this page uses it: a time limit, and network errors as HttpProblem(0). */
export async function request(fetchFn, url, { timeoutMs = TIMEOUT_MS, signal, ...init } = {}) {
  const limit = timeoutMs === null ? null : AbortSignal.timeout(timeoutMs);
  const signals = [limit, signal].filter(Boolean);
  try {
    return await fetchFn(url, {
      cache: "no-store",
      credentials: "omit",
      ...init,
      signal: signals.length > 0 ? AbortSignal.any(signals) : undefined,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new HttpProblem(0, "");
  }
}

/** The HttpProblem that a response stands for. */
export async function problemOf(response) {
  const body = await response.text().catch(() => "");
  const wait = retryAfterS(response.headers.get("Retry-After"), Date.now());
  return new HttpProblem(
    response.status,
    detailOf(response.headers.get("Content-Type"), body),
    wait,
  );
}

export class HttpSession {
  #endpoint;
  #token;
  #fetch;
  /** Set by post(). */
  url = null;
  etag = null;
  iceServers = [];
  events = null;
  /** URL of the layer extension, null where the server has none. */
  layer = null;

  constructor({ endpoint, token, fetch }) {
    this.#endpoint = new URL(endpoint);
    this.#token = token;
    this.#fetch = fetch;
  }

  /** Last path segment of the session URL: what the server calls the session. */
  get id() {
    return this.url === null ? null : (new URL(this.url).pathname.split("/").pop() ?? null);
  }

  /**
   * The ICE servers that the endpoint names to whoever may open a session.
   * @returns {Promise<RTCIceServer[]|null>} null when it does not say
   */
  async askIceServers(signal) {
    try {
      const response = await this.send("OPTIONS", this.#endpoint, { signal });
      return response.ok ? iceServers(parseLinks(response.headers.get("Link") ?? "")) : null;
    } catch {
      // Nothing hangs on it: the answer to the POST names them too.
      return null;
    }
  }

  /**
   * POST the offer.
   * @returns {Promise<{kind: "answer"|"counter_offer", sdp: string}>} a counter-offer (406) is to
   *   be answered with `answer()`
   */
  async post(sdp, signal) {
    const response = await this.send("POST", this.#endpoint, {
      headers: { "Content-Type": SDP_TYPE, Accept: SDP_TYPE },
      body: sdp,
      signal,
    });
    const isSdp = mediaType(response) === SDP_TYPE;
    const location = response.headers.get("Location");
    const offered = response.status === 406 && isSdp && location;
    if (response.status !== 201 && !offered) throw await problemOf(response);
    if (!location || !isSdp) throw new HttpProblem(502, "");
    this.#opened(response, location);
    return { kind: offered ? "counter_offer" : "answer", sdp: await response.text() };
  }

  /** PATCH our answer to the server's offer (406 flow). */
  async answer(sdp) {
    await this.#patch(SDP_TYPE, sdp);
  }

  /** PATCH new ICE credentials; returns the server's fragment and follows the new ETag. */
  async restartIce(fragment) {
    const response = await this.#patch(FRAGMENT_TYPE, fragment, '"*"');
    if (response.status !== 200) throw new HttpProblem(502, "");
    this.etag = response.headers.get("ETag") ?? this.etag;
    const servers = iceServers(parseLinks(response.headers.get("Link") ?? ""));
    // Credentials are short-lived; a node that says nothing leaves us those that we have.
    if (servers.length > 0) this.iceServers = servers;
    return response.text();
  }

  /** PATCH candidates of the ICE session that the ETag names. */
  async trickle(fragment) {
    await this.#patch(FRAGMENT_TYPE, fragment, this.etag);
  }

  /**
   * Whether the server still knows the session: PATCH without a new candidate, for a GET need not
   * tell (RFC 9725 section 4.2). Throws HttpProblem if the server cannot be asked.
   * @param {string} fragment the current ICE credentials
   */
  async isAlive(fragment) {
    try {
      await this.trickle(fragment);
      return true;
    } catch (error) {
      if (!(error instanceof HttpProblem) || [0, 429, 500, 502, 503].includes(error.status)) {
        throw error;
      }
      // 412 and the like come from a session that is there.
      return ![401, 403, 404, 410].includes(error.status);
    }
  }

  /** Tell the server at which size the picture is seen. */
  async askLayer(size) {
    const response = await this.send("POST", this.layer, {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(size),
    });
    if (!response.ok) throw await problemOf(response);
    await response.body?.cancel();
  }

  /** DELETE; a session that is already gone is no error. keepalive: the page is closing. */
  async delete({ keepalive = false } = {}) {
    if (this.url === null) return;
    const url = this.url;
    this.url = null;
    const response = await this.send("DELETE", url, { keepalive });
    await response.body?.cancel();
  }

  /** One authorised request; any HTTP status is returned. */
  send(method, url, init = {}) {
    return request(this.#fetch, String(url), {
      method,
      ...init,
      headers: { ...init.headers, ...this.#authorization(url) },
    });
  }

  #authorization(url) {
    const own = this.#token && new URL(url).origin === this.#endpoint.origin;
    return own ? { Authorization: `Bearer ${this.#token}` } : {};
  }

  #opened(response, location) {
    const base = response.url || String(this.#endpoint);
    this.url = new URL(location, base).toString();
    this.etag = response.headers.get("ETag");
    const links = parseLinks(response.headers.get("Link") ?? "");
    this.iceServers = iceServers(links);
    const events = eventsLink(links);
    this.events = events && { ...events, target: new URL(events.target, base).toString() };
    const layer = layerLink(links);
    this.layer = layer && new URL(layer, base).toString();
  }

  async #patch(type, body, ifMatch = null) {
    const headers = { "Content-Type": type };
    if (ifMatch !== null) headers["If-Match"] = ifMatch;
    const response = await this.send("PATCH", this.url, { headers, body });
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

function mediaType(response) {
  return (response.headers.get("Content-Type") ?? "").split(";")[0].trim().toLowerCase();
}
