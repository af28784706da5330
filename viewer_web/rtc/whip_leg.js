/** One WHIP session with its peer connection; tracks are replaced without a new negotiation. */

import { HttpProblem } from "../core/problem.js";
import { answerAfterRestart, restartFragment, withCodecParameters } from "../core/sdp.js";
import { publisherDigest, statsList } from "../core/stats_digest.js";
import { applyLocal, postOffer } from "./gathering.js";
import { HttpSession } from "./http_session.js";

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
   * @param {{maxVideoBps: number, maxAudioBps: number, contentHint: string}} settings
   */
  async open(stream, settings) {
    const sender = (kind) => {
      const track = stream.getTracks().find((one) => one.kind === kind);
      return this.#peer.addTransceiver(track ?? kind, { direction: "sendonly", streams: [stream] });
    };
    sender("audio");
    preferH264(sender("video"), this.#env.videoCodecs());
    const reply = await postOffer(this.#peer, this.session, this.#abort.signal);
    if (reply.kind !== "answer") throw new HttpProblem(502, "");
    const voice = withCodecParameters(reply.sdp, /^opus$/i, OPUS);
    await this.#setAnswer(withCodecParameters(voice, VIDEO_CODECS, START));
    await this.limit(settings);
  }

  /** Bitrate ceilings; applied again whenever the source changes. */
  async limit({ maxVideoBps, maxAudioBps }) {
    for (const sender of this.#peer.getSenders()) {
      const parameters = sender.getParameters();
      if (!parameters.encodings?.length) continue;
      const kind = this.#kindOf(sender);
      for (const encoding of parameters.encodings) {
        encoding.maxBitrate = kind === "audio" ? maxAudioBps : maxVideoBps;
        encoding.networkPriority = kind === "audio" ? "high" : "medium";
      }
      await sender.setParameters(parameters);
    }
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

/** H.264 first where the browser has it: every commune's PC decodes it. The rest stays offered. */
function preferH264(transceiver, codecs) {
  if (!codecs?.length || !transceiver.setCodecPreferences) return;
  const rank = (codec) => {
    if (/h264/i.test(codec.mimeType)) {
      return /packetization-mode=1/.test(codec.sdpFmtpLine ?? "") ? 0 : 1;
    }
    return /vp8/i.test(codec.mimeType) ? 2 : 3;
  };
  transceiver.setCodecPreferences([...codecs].sort((a, b) => rank(a) - rank(b)));
}
