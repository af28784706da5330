/**
 * Where a session may be had: the hub first, for it knows who lives, then the relays that it has
 * named. The list is kept, so that a page finds its way while the hub is away.
 */

export const REFRESH_MS = 30_000;
const KEY = "wardcast.places";

export class Places {
  #endpoint;
  #bases = [];
  #storage;

  /**
   * @param {string} endpoint WHEP URL at the hub
   * @param {Storage|null} [storage] outlives a reload
   */
  constructor(endpoint, storage = null) {
    this.#endpoint = new URL(endpoint);
    this.#storage = storage;
    this.take(readList(storage));
  }

  /** Base URLs of relays, best first; what is no http(s) URL is left out. */
  get alternatives() {
    return [...this.#bases];
  }

  take(bases) {
    this.#bases = (Array.isArray(bases) ? bases : []).filter(isHttp);
    try {
      this.#storage?.setItem(KEY, JSON.stringify(this.#bases));
    } catch {
      // Storage that is full or forbidden costs only the memory over a reload.
    }
  }

  /** Whether the token may be sent there. */
  trusts(url) {
    const { origin } = new URL(url);
    return origin === this.#endpoint.origin || this.#bases.some((base) => new URL(base).origin === origin);
  }

  /** A URL that an event names, made absolute; null if it is none. */
  named(url) {
    if (typeof url !== "string" || url === "") return null;
    try {
      return new URL(url, this.#endpoint).href;
    } catch {
      return null;
    }
  }

  /**
   * WHEP URLs to try in this order.
   * @param {string|null} first tried before all others
   * @param {string|null} dead origin that has just fallen silent: tried last
   */
  urls(first = null, dead = null) {
    const path = this.#endpoint.pathname;
    const relays = this.#bases.map((base) => new URL(path, base).href);
    const all = [...new Set([first, this.#endpoint.href, ...relays].filter(Boolean))];
    const isDead = (url) => dead !== null && url !== first && new URL(url).origin === dead;
    return [...all.filter((url) => !isDead(url)), ...all.filter(isDead)];
  }
}

function isHttp(text) {
  try {
    return ["http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}

function readList(storage) {
  try {
    return JSON.parse(storage?.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}
