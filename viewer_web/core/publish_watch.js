/**
 * Judges a publisher's link by what comes back: STUN responses and RTCP reports. A camera that is
 * still sends packets all the same, so silence in both directions is a dead link or a dead server.
 */

import { SLEEP_GAP_MS } from "./link_watch.js";

/** Browsers check a good pair every 2.5 s and the server reports each second. */
export const NO_ECHO_MS = 4000;
/** Where the browser counts all packets of the transport: our nodes send feedback many times a second. */
export const NO_FEEDBACK_MS = 1500;
/** An encoder that makes no frame for so long has lost its camera. */
export const NO_ENCODED_MS = 4000;

export class PublishWatch {
  #last = null;
  #echoMs = 0;
  #frameMs = 0;
  #atMs = 0;

  reset() {
    this.#last = null;
  }

  /**
   * @param {{echoes: number, frames: number, hasVideo: boolean, transport?: number|null}} sample
   *   echoes: STUN responses and RTCP reports received so far; transport: packets of any kind
   * @returns {"flowing"|"no_echo"|"no_frames"}
   */
  sample(sample, nowMs) {
    if (this.#last === null || nowMs - this.#atMs > SLEEP_GAP_MS) {
      this.#echoMs = nowMs;
      this.#frameMs = nowMs;
    } else {
      const moved = sample.transport !== this.#last.transport;
      if (moved || sample.echoes !== this.#last.echoes) this.#echoMs = nowMs;
      if (sample.frames !== this.#last.frames || !sample.hasVideo) this.#frameMs = nowMs;
    }
    this.#last = sample;
    this.#atMs = nowMs;
    const limitMs = Number.isFinite(sample.transport) ? NO_FEEDBACK_MS : NO_ECHO_MS;
    if (nowMs - this.#echoMs >= limitMs) return "no_echo";
    return nowMs - this.#frameMs >= NO_ENCODED_MS ? "no_frames" : "flowing";
  }
}
