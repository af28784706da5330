/**
 * Judges a publisher's link by what comes back: STUN responses and RTCP reports. A camera that is
 * still sends packets all the same, so silence in both directions is a dead link or a dead server.
 */

import { SLEEP_GAP_MS } from "./link_watch.js";

/** Browsers check a good pair every 2.5 s and the server reports each second. */
export const NO_ECHO_MS = 4000;
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
   * @param {{echoes: number, frames: number, hasVideo: boolean}} sample
   *   echoes: STUN responses and RTCP reports received so far
   * @returns {"flowing"|"no_echo"|"no_frames"}
   */
  sample(sample, nowMs) {
    if (this.#last === null || nowMs - this.#atMs > SLEEP_GAP_MS) {
      this.#echoMs = nowMs;
      this.#frameMs = nowMs;
    } else {
      if (sample.echoes !== this.#last.echoes) this.#echoMs = nowMs;
      if (sample.frames !== this.#last.frames || !sample.hasVideo) this.#frameMs = nowMs;
    }
    this.#last = sample;
    this.#atMs = nowMs;
    if (nowMs - this.#echoMs >= NO_ECHO_MS) return "no_echo";
    return nowMs - this.#frameMs >= NO_ENCODED_MS ? "no_frames" : "flowing";
  }
}
