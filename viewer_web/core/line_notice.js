/**
 * What the viewer is told of its line (docs/bad-networks.md): the node's word by the event `line`;
 * where a server does not send it, voice that goes on without the picture tells the same. One object
 * serves one session.
 */

/** Voice without a byte of video for so long, where there was video before, is a weak line. */
export const NO_VIDEO_MS = 2000;
const STATES = new Set(["full", "reduced", "audio-only"]);

/** @typedef {"none"|"reduced"|"audio-only"} Notice */

export class LineNotice {
  #told = null;
  #last = null;
  #videoMs = 0;
  #audioMs = -Infinity;
  #sawVideo = false;

  /** What the node said last: {state, rid, width, height, estimate_kbps, reason}, or null. */
  get told() {
    return this.#told;
  }

  /** Data of the event `line`; what is not of the contract is passed over. */
  onEvent(data) {
    if (data !== null && typeof data === "object" && STATES.has(data.state)) this.#told = data;
  }

  /**
   * @param {{videoBytes: number, audioPackets: number}} digest
   * @param {boolean} active the publisher is there, as far as is known
   * @returns {Notice}
   */
  look({ videoBytes, audioPackets }, active, nowMs) {
    const last = this.#last;
    this.#last = { videoBytes, audioPackets };
    if (last === null || videoBytes !== last.videoBytes || !active) this.#videoMs = nowMs;
    if (last !== null && audioPackets !== last.audioPackets) this.#audioMs = nowMs;
    if (videoBytes > 0) this.#sawVideo = true;
    return this.notice(nowMs);
  }

  /** The same without a new look. @returns {Notice} */
  notice(nowMs) {
    if (this.#told !== null) {
      if (this.#told.state === "audio-only") return "audio-only";
      return this.#told.state === "reduced" && this.#told.reason === "line" ? "reduced" : "none";
    }
    const voice = nowMs - this.#audioMs < NO_VIDEO_MS;
    return this.#sawVideo && voice && nowMs - this.#videoMs >= NO_VIDEO_MS ? "audio-only" : "none";
  }
}
