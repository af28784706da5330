/**
 * One WHEP session with its peer connection: a leg. A player has one leg, and two for the moment
 * in which it moves from one to the other.
 */

import { HttpProblem } from "../core/problem.js";
import { LineNotice } from "../core/line_notice.js";
import { answerAfterRestart, restartFragment, withFeedback } from "../core/sdp.js";
import { statsList, viewerDigest } from "../core/stats_digest.js";
import { followSessionEvents } from "./event_stream.js";
import { applyLocal, postOffer } from "./gathering.js";
import { HttpSession } from "./http_session.js";

export const EVENT_NAMES = ["active", "inactive", "line", "reconnect", "viewercount"];

/** Browsers ask for lost voice packets only if the offer says so; nodes answer it from their cache. */
const repairingVoice = (sdp) => withFeedback(sdp, /^opus$/i, "nack");

export class WhepLeg {
  #env;
  #on;
  #peer = null;
  #answer = "";
  #abort = new AbortController();
  #tracks = new Map();
  session;
  /** The server has said `inactive` and not `active` since. */
  publisherGone = false;
  /** The event stream broke and is not back. */
  eventsBroke = false;
  /** And the node has not taken a request since. */
  refused = false;
  #line = new LineNotice();

  /**
   * @param {import("./environment.js").Environment} env
   * @param {{endpoint: string, token: string|null}} where
   * @param {{event?: Function, gone?: Function, transport?: Function}} on
   *   gone: the event stream broke or the server knows it no more
   */
  constructor(env, where, on = {}) {
    this.#env = env;
    this.#on = on;
    this.session = new HttpSession({ ...where, fetch: env.fetch });
  }

  /** Origin of the node that serves the session, null before it is open. */
  get origin() {
    return this.session.url === null ? null : new URL(this.session.url).origin;
  }

  get connectionState() {
    return this.#peer?.connectionState ?? "new";
  }

  get closed() {
    return this.#abort.signal.aborted;
  }

  /** Negotiate; the tracks flow some moments later. Throws HttpProblem. */
  async open() {
    this.#peer = this.#newPeer();
    for (const kind of ["audio", "video"]) {
      this.#peer.addTransceiver(kind, { direction: "recvonly" });
    }
    const reply = await postOffer(this.#peer, this.session, this.#abort.signal, repairingVoice);
    if (reply.kind === "counter_offer") await this.#acceptOffer(reply.sdp);
    else await this.#setRemote({ type: "answer", sdp: reply.sdp });
    this.#follow();
  }

  /** PATCH new credentials on the living session. Throws HttpProblem; the old pair lives on. */
  async restartIce() {
    const { type, sdp: made } = await this.#peer.createOffer({ iceRestart: true });
    const offer = { type, sdp: repairingVoice(made) };
    try {
      const fragment = await this.session.restartIce(restartFragment(offer.sdp));
      await applyLocal(this.#peer, offer, this.session.iceServers, made);
      const sdp = answerAfterRestart(this.#answer, fragment);
      await this.#peer.setRemoteDescription({ type: "answer", sdp });
      this.#answer = sdp;
    } catch (error) {
      if (this.#peer.signalingState === "have-local-offer") {
        await this.#peer.setLocalDescription({ type: "rollback" });
      }
      throw error instanceof HttpProblem ? error : new HttpProblem(502, String(error));
    }
  }

  /** A new MediaStream of the tracks: makes some browsers restart a decoder that stands still. */
  stream() {
    return this.#env.createStream([...this.#tracks.values()]);
  }

  /** Whether the server still knows the session; throws HttpProblem if it cannot be asked. */
  isAlive() {
    return this.session.isAlive(restartFragment(this.#peer.localDescription.sdp));
  }

  async digest() {
    const report = await this.#peer.getStats();
    const digest = viewerDigest(statsList(report), this.#env.now());
    this.#line.look(digest, !this.publisherGone, digest.atMs);
    return digest;
  }

  /** @returns {import("../core/link_watch.js").LinkSample} */
  sample(digest) {
    return {
      packets: digest.packetsReceived,
      videoPackets: digest.videoPackets,
      frames: digest.framesDecoded,
      hidden: this.#env.hidden(),
      transport: digest.transportPackets,
      eventsBroke: this.eventsBroke,
      refused: this.refused,
      voiceOnly: this.voiceOnly(digest),
    };
  }

  /** @returns {import("../core/line_notice.js").Notice} what a person is told of the line */
  get line() {
    return this.#line.notice(this.#env.now());
  }

  /** Data of the last event `line`, or null. */
  get told() {
    return this.#line.told;
  }

  /** The line carries sound alone, and sound comes. */
  voiceOnly(digest) {
    return digest.audioPackets > 0 && this.line === "audio-only";
  }

  /** Sound level 0 … 1 of what arrives, played or not. */
  audioLevel() {
    const receiver = this.#peer?.getReceivers().find((one) => one.track?.kind === "audio");
    return receiver?.getSynchronizationSources?.()[0]?.audioLevel ?? 0;
  }

  /** Free everything; the DELETE is sent but an unreachable server is no error. */
  async close({ keepalive = false } = {}) {
    this.#abort.abort();
    this.#peer?.close();
    try {
      await this.session.delete({ keepalive });
    } catch (error) {
      // The server drops the session by itself when our ICE checks stop.
      if (!(error instanceof HttpProblem)) throw error;
    }
  }

  #newPeer() {
    const peer = this.#env.createPeer({ bundlePolicy: "max-bundle" });
    peer.addEventListener("track", ({ track }) => this.#tracks.set(track.kind, track));
    peer.addEventListener("connectionstatechange", () => {
      if (!this.closed) this.#on.transport?.(peer.connectionState);
    });
    return peer;
  }

  /** 406 flow: the server offers, a fresh peer answers by PATCH. */
  async #acceptOffer(sdp) {
    this.#peer.close();
    this.#tracks.clear();
    this.#peer = this.#newPeer();
    await this.#setRemote({ type: "offer", sdp });
    const answer = await this.#peer.createAnswer();
    await applyLocal(this.#peer, answer, this.session.iceServers);
    await this.session.answer(answer.sdp);
  }

  async #setRemote(description) {
    try {
      await this.#peer.setRemoteDescription(description);
    } catch (error) {
      // The browser cannot use what the server sent: for us a bad answer.
      throw new HttpProblem(502, String(error));
    }
    this.#answer = description.sdp;
  }

  #follow() {
    void followSessionEvents(this.session, {
      names: EVENT_NAMES,
      env: this.#env,
      signal: this.#abort.signal,
      onEvent: (event) => {
        if (event.name === "active") this.publisherGone = false;
        if (event.name === "inactive") this.publisherGone = true;
        if (event.name === "line") this.#line.onEvent(event.data);
        this.#on.event?.(event);
      },
      onLink: (up) => {
        this.eventsBroke = !up;
        this.refused = false;
        if (!up) this.#on.gone?.();
      },
      onGone: () => this.#on.gone?.(),
    });
  }
}
