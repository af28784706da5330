/**
 * Judges a viewer's link by what arrives and what is decoded, never by the ICE state: browsers take
 * up to 26 s to say "failed", and a decoder can stand still on a perfect link.
 *
 * Feed samples with a monotonic clock, read verdicts. Voice without video packets is a working link;
 * so is voice alone by the node's choice, even if probes of the line come as video packets.
 *
 * Our nodes send RTCP at least every 300 ms even while the publisher is silent, so a transport on
 * which nothing at all arrives is a node that is gone: `unreachable`, long before `no_packets`.
 */

export const NO_PACKETS_MS = 1500;
/** Nothing on the transport, not even RTCP. */
export const UNREACHABLE_MS = 700;
/** The same when the session's event stream has just broken too. */
export const UNREACHABLE_AFTER_BREAK_MS = 300;
/** The same when the node has also refused a new request: its process is gone, or its host. */
export const UNREACHABLE_AFTER_REFUSAL_MS = 150;
/** Before the first packet: ICE and DTLS over a slow line take their time. */
export const FIRST_PACKET_MS = 5000;
export const NO_FRAMES_MS = 3000;
/** A pause between two samples longer than this is a sleeping computer, not a dead link. */
export const SLEEP_GAP_MS = 4000;

/**
 * @typedef {object} LinkSample
 * @property {number} packets RTP packets received so far, all kinds
 * @property {number} videoPackets of these, video
 * @property {number} frames video frames decoded so far
 * @property {number|null} [transport] packets of any kind on the transport; null: the browser does not tell
 * @property {boolean} [eventsBroke] the session's event stream has broken
 * @property {boolean} [refused] and the node did not take a request after that
 * @property {boolean} [hidden] the page is in the background, where browsers may stop decoding
 * @property {boolean} [voiceOnly] the line carries sound alone: no frame is to be expected
 *
 * @typedef {object} Verdict
 * @property {"starting"|"flowing"|"unreachable"|"no_packets"|"no_frames"} kind
 * @property {number} forMs how long nothing came (no_frames: how long no frame was decoded)
 * @property {boolean} woke the computer slept before this sample
 */

export class LinkWatch {
  #noPacketsMs;
  #noFramesMs;
  #last = null;
  #lastNowMs = 0;
  #packetMs = 0;
  #frameMs = 0;
  #videoPacketMs = -Infinity;
  #videoSinceFrame = 0;
  #sawPackets = false;
  #transportMs = 0;

  constructor({ noPacketsMs = NO_PACKETS_MS, noFramesMs = NO_FRAMES_MS } = {}) {
    this.#noPacketsMs = noPacketsMs;
    this.#noFramesMs = noFramesMs;
  }

  /** Start over: a new connection, or the publisher has come back. */
  reset(nowMs) {
    this.#last = null;
    this.#lastNowMs = nowMs;
    this.#restart(nowMs);
    this.#sawPackets = false;
  }

  /**
   * @param {LinkSample} sample
   * @returns {Verdict}
   */
  sample(sample, nowMs) {
    if (this.#last === null) {
      this.#last = sample;
      this.#lastNowMs = nowMs;
      this.#restart(nowMs);
      this.#sawPackets = sample.packets > 0;
      return { kind: this.#sawPackets ? "flowing" : "starting", forMs: 0, woke: false };
    }
    const woke = nowMs - this.#lastNowMs > SLEEP_GAP_MS;
    if (woke) this.#restart(nowMs);
    this.#note(sample, nowMs);
    this.#last = sample;
    this.#lastNowMs = nowMs;
    return { ...this.#verdict(sample, nowMs), woke };
  }

  #restart(nowMs) {
    this.#packetMs = nowMs;
    this.#transportMs = nowMs;
    this.#frameMs = nowMs;
    this.#videoPacketMs = -Infinity;
    this.#videoSinceFrame = 0;
  }

  #note(sample, nowMs) {
    const packets = sample.packets - this.#last.packets;
    const video = sample.videoPackets - this.#last.videoPackets;
    if (packets !== 0 || sample.transport !== this.#last.transport) this.#transportMs = nowMs;
    // Counters that step back belong to a new receiver: progress all the same.
    if (packets !== 0) {
      this.#packetMs = nowMs;
      this.#sawPackets = true;
    }
    if (video !== 0) {
      this.#videoPacketMs = nowMs;
      this.#videoSinceFrame += Math.abs(video);
    }
    if (sample.frames !== this.#last.frames || sample.hidden || sample.voiceOnly) {
      this.#frameMs = nowMs;
      this.#videoSinceFrame = 0;
    }
  }

  #verdict(sample, nowMs) {
    const deadMs = nowMs - this.#transportMs;
    // A refusal is proof enough to go by RTP alone where the transport is not counted.
    const tells = Number.isFinite(sample.transport) || sample.refused;
    if (this.#sawPackets && tells && deadMs >= patienceWith(sample)) {
      return { kind: "unreachable", forMs: deadMs };
    }
    const silentMs = nowMs - this.#packetMs;
    const patienceMs = this.#sawPackets ? this.#noPacketsMs : FIRST_PACKET_MS;
    if (silentMs >= patienceMs) return { kind: "no_packets", forMs: silentMs };
    const frozenMs = nowMs - this.#frameMs;
    const videoArrives = nowMs - this.#videoPacketMs < this.#noPacketsMs;
    if (frozenMs >= this.#noFramesMs && videoArrives && this.#videoSinceFrame > 0) {
      return { kind: "no_frames", forMs: frozenMs };
    }
    return { kind: this.#sawPackets ? "flowing" : "starting", forMs: silentMs };
  }
}

function patienceWith({ eventsBroke, refused }) {
  if (!eventsBroke) return UNREACHABLE_MS;
  return refused ? UNREACHABLE_AFTER_REFUSAL_MS : UNREACHABLE_AFTER_BREAK_MS;
}
