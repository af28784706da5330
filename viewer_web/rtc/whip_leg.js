/** One WHIP session with its peer connection; tracks are replaced without a new negotiation. */

import { HttpProblem } from "../core/problem.js";
import { answerAfterRestart, restartFragment, withCodecParameters } from "../core/sdp.js";
import { publisherDigest, statsList } from "../core/stats_digest.js";
import { applyLocal, postOffer } from "./gathering.js";
import { HttpSession } from "./http_session.js";
import { addPicture, limitSenders } from "./layered_sender.js";

/** In-band FEC for lossy uplinks; DTX off, so that a quiet hall does not look like a dead link. */
const OPUS = { useinbandfec: 1, usedtx: 0 };

/**
 * Chrome begins at 300 kbit/s and a quarter of the picture's size, which viewers would see grow for
 * ten seconds. Any uplink that can carry a session carries this; where it cannot, Chrome backs off.
 */
const START = { "x-google-start-bitrate": 1200 };
const VIDEO_CODECS = /^(h264|vp8|vp9|av1)$/i;

export class WhipLeg {
  #env;
  #peer;
  #answer = "";
  #abort = new AbortController();
  session;

  constructor(env, where, on = {}) {
    this.#env = env;
    this.session = new HttpSession({ ...where, fetch: env.fetch });
    this.#peer = env.createPeer({ bundlePolicy: "max-bundle" });
    this.#peer.addEventListener("connectionstatechange", () => {
      if (!this.closed) on.transport?.(this.#peer.connectionState);
    });
  }

  get closed() {
    return this.#abort.signal.aborted;
  }

  /**
   * Negotiate both kinds whether or not a track is there, so that one may be added later.
   * @param {MediaStream} stream
   * @param {{codec: string, layersBps: {h: number, m: number, l: number}, maxAudioBps: number}} settings
   */
  async open(stream, settings) {
    const source = (kind) => stream.getTracks().find((one) => one.kind === kind) ?? kind;
    this.#peer.addTransceiver(source("audio"), { direction: "sendonly", streams: [stream] });
    const codecs = this.#env.videoCodecs();
    addPicture(this.#peer, source("video"), { ...settings, stream, codecs });
    const reply = await postOffer(this.#peer, this.session, this.#abort.signal);
    if (reply.kind !== "answer") throw new HttpProblem(502, "");
    const voice = withCodecParameters(reply.sdp, /^opus$/i, OPUS);
    await this.#setAnswer(withCodecParameters(voice, VIDEO_CODECS, START));
    await this.limit(settings);
  }

  /** Bitrate ceilings; applied again whenever the source changes. */
  async limit(settings) {
    await limitSenders(this.#peer, settings);
  }

  /** Another camera, microphone or screen: no negotiation, viewers notice nothing. */
  async replace(kind, track) {
    const sender = this.#peer.getSenders().find((one) => this.#kindOf(one) === kind);
    await sender?.replaceTrack(track);
  }

  async restartIce() {
    const offer = await this.#peer.createOffer({ iceRestart: true });
    try {
      const fragment = await this.session.restartIce(restartFragment(offer.sdp));
      await applyLocal(this.#peer, offer, this.session.iceServers);
      await this.#setAnswer(answerAfterRestart(this.#answer, fragment));
    } catch (error) {
      if (this.#peer.signalingState === "have-local-offer") {
        await this.#peer.setLocalDescription({ type: "rollback" });
      }
      throw error instanceof HttpProblem ? error : new HttpProblem(502, String(error));
    }
  }

  /** Whether the server still knows the session; throws HttpProblem if it cannot be asked. */
  isAlive() {
    return this.session.isAlive(restartFragment(this.#peer.localDescription.sdp));
  }

  async digest() {
    return publisherDigest(statsList(await this.#peer.getStats()), this.#env.now());
  }

  async close({ keepalive = false } = {}) {
    this.#abort.abort();
    this.#peer.close();
    try {
      await this.session.delete({ keepalive });
    } catch (error) {
      // The server frees the slot by itself once nothing arrives.
      if (!(error instanceof HttpProblem)) throw error;
    }
  }

  #kindOf(sender) {
    const transceiver = this.#peer.getTransceivers().find((one) => one.sender === sender);
    return transceiver?.receiver.track.kind;
  }

  async #setAnswer(sdp) {
    try {
      await this.#peer.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      throw new HttpProblem(502, String(error));
    }
    this.#answer = sdp;
  }
}
