/**
 * A viewer that stays with the broadcast: connects, watches packets and frames, and climbs the
 * recovery ladder. The page gives a surface and is told the state; it decides nothing.
 *
 * A new leg is shown when it has decoded its first frame, so the last picture stays until then.
 */

import { Backoff } from "../core/backoff.js";
import { LinkWatch } from "../core/link_watch.js";
import { Places } from "../core/places.js";
import { HttpProblem } from "../core/problem.js";
import { Recovery } from "../core/recovery.js";
import { RecoveryLog } from "../core/recovery_log.js";
import { SessionState, VIEWER_TABLE } from "../core/session_state.js";
import { viewerRates } from "../core/stats_digest.js";
import { openFirst } from "./first_leg.js";
import { Pause } from "./pause.js";
import { WhepLeg } from "./whep_leg.js";

export const TICK_MS = 250;
const FIRST_MEDIA_POLL_MS = 100;
const FIRST_MEDIA_LIMIT_MS = 8000;
/** Voice alone counts as the first media when no video packet has come for this long. */
const VOICE_ALONE_MS = 2000;
/** RTCP without RTP for so long, and no word of the publisher: something is stuck. */
const STUCK_MS = 6000;
/** A refused link is tried again after about this long: an operator may have mended it. */
export const DENIED_RETRY_S = 30;

/**
 * @typedef {object} Surface
 * @property {(stream: MediaStream, first: boolean) => void} show present a stream
 */

export class WhepPlayer {
  #env;
  #endpoint;
  #token;
  #surface;
  #on;
  #leg = null;
  #shown = null;
  #renewing = false;
  #moving = false;
  #places;
  #ticking = false;
  #stopTicks = null;
  #digest = null;
  #state;
  #watch = new LinkWatch();
  #recovery;
  #backoff;
  #pause;
  log;

  /**
   * @param {object} options
   * @param {import("./environment.js").Environment} options.env
   * @param {string} options.endpoint absolute WHEP URL
   * @param {Surface} options.surface
   * @param {Places} [options.places] where else a session may be had
   * @param {{state?: Function, figures?: Function, event?: Function}} options.on
   */
  constructor({ env, endpoint, token, surface, on = {}, places = new Places(endpoint) }) {
    this.#env = env;
    this.#endpoint = endpoint;
    this.#token = token;
    this.#places = places;
    this.#surface = surface;
    this.#on = on;
    this.#state = new SessionState(VIEWER_TABLE, (next) => on.state?.(next, this.problem));
    this.#recovery = new Recovery({ random: env.random });
    this.#backoff = new Backoff({ random: env.random });
    this.#pause = new Pause(env);
    this.log = new RecoveryLog();
  }

  problem = null;

  get state() {
    return this.#state.value;
  }

  get digest() {
    return this.#digest;
  }

  get sessionId() {
    return this.#leg?.session.id ?? null;
  }

  /** Origin of the node that serves us. */
  get place() {
    return this.#leg?.origin ?? null;
  }

  get audioLevel() {
    return this.#leg?.audioLevel() ?? 0;
  }

  start() {
    this.#state.on("start");
    this.#stopTicks ??= this.#env.every(TICK_MS, () => void this.tick());
    void this.#connect("start", null);
  }

  /** End the session. keepalive: the page is going away. */
  async stop({ keepalive = false } = {}) {
    this.#state.on("stop");
    this.#stopTicks?.();
    this.#stopTicks = null;
    this.#pause.wake();
    const leg = this.#leg;
    this.#leg = null;
    await leg?.close({ keepalive });
  }

  /** Something changed outside (network back, page visible): look at once, wait no longer. */
  nudge(reason) {
    if (this.state === "stopped") return;
    this.#pause.wake();
    const lost = this.state === "reconnecting" && !this.#renewing;
    if (reason === "online" && lost && this.#leg) void this.#restartIce(this.#leg, reason);
    void this.tick();
  }

  /** One look at the link; the timer calls it, tests too. */
  async tick() {
    const leg = this.#leg;
    if (leg === null || this.#ticking) return;
    this.#ticking = true;
    try {
      const digest = await leg.digest();
      if (leg === this.#leg) this.#look(leg, digest);
    } finally {
      this.#ticking = false;
    }
  }

  #look(leg, digest) {
    const before = this.#digest;
    this.#digest = digest;
    if (this.#shown !== leg && digest.framesDecoded > 0) this.#show(leg);
    const sample = {
      packets: digest.packetsReceived,
      videoPackets: digest.videoPackets,
      frames: digest.framesDecoded,
      hidden: this.#env.hidden(),
      transport: digest.transportPackets,
      eventsBroke: leg.eventsBroke,
    };
    const verdict = this.#watch.sample(sample, this.#env.now());
    const seen = digest.framesDecoded > 0 || (digest.videoPackets === 0 && digest.audioPackets > 0);
    // The verdict is patient; only packets since the last look are media that flows.
    const moving = verdict.kind === "flowing" && verdict.forMs === 0;
    if (moving && seen && !leg.publisherGone) this.#flowing();
    if (before) this.#on.figures?.(digest, viewerRates(digest, before));
    // While connecting anew, what the server answers is the truth, not the old leg's silence.
    if (!this.#renewing || this.state === "playing") this.#note(verdict, leg);
    if (this.#renewing) return;
    // RTCP still comes: the node lives, and it is the publisher who is silent.
    const alive = Number.isFinite(digest.transportPackets) && verdict.forMs < STUCK_MS;
    const waits = leg.publisherGone || alive;
    const action = this.#recovery.decide(verdict.kind, waits, this.#env.now());
    this.#act(action, leg, verdict);
  }

  #flowing() {
    this.#backoff.succeeded();
    if (this.state !== "playing") this.log.recovered(this.#env.now());
    this.problem = null;
    this.#state.on("flowing");
  }

  /** The sentence on the page follows the verdict at once, before any action is taken. */
  #note(verdict, leg) {
    if (verdict.kind === "no_frames") this.#state.on("frozen");
    if (verdict.kind === "unreachable") this.#state.on("link_lost");
    if (verdict.kind !== "no_packets") return;
    this.#state.on(leg.publisherGone ? "publisher_gone" : "link_lost");
  }

  #act(action, leg, verdict) {
    if (action === "none") return;
    this.log.add(this.#env.now(), verdict.kind, action);
    if (action === "rebind") this.#show(leg);
    else if (action === "restart_ice") void this.#restartIce(leg, verdict.kind);
    else if (action === "check_session") void this.#checkSession(leg);
    else if (action === "renew") void this.#connect(verdict.kind, null);
    else if (action === "move") void this.#connect(verdict.kind, null, leg.origin);
  }

  async #restartIce(leg, reason) {
    try {
      await leg.restartIce();
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      if (leg === this.#leg) void this.#connect(`${reason}: ${error.reason}`, null);
    }
  }

  /** The server may have forgotten a session that is silent for a good reason. */
  async #checkSession(leg) {
    try {
      if (await leg.isAlive()) return;
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      // Out of reach: whether the publisher is there is no longer known, so the watch decides.
      leg.publisherGone = false;
      return;
    }
    if (leg === this.#leg) void this.#connect("session_gone", null);
  }

  /**
   * Connect, again and again with backoff, until a leg plays or waits for the publisher.
   * first: tried before the usual places; dead: origin that has just fallen silent.
   */
  async #connect(reason, first, dead = null) {
    if (this.#renewing || this.state === "stopped") return;
    this.#renewing = true;
    if (reason === "reconnect") this.log.note(this.#env.now(), reason, "connect");
    else if (reason !== "start") this.log.add(this.#env.now(), reason, "connect");
    try {
      let urls = this.#places.urls(first, dead);
      while (this.state !== "stopped" && !(await this.#attempt(urls))) urls = this.#places.urls();
    } finally {
      this.#renewing = false;
    }
  }

  /** One round over the places; true when a leg was adopted. */
  async #attempt(urls) {
    let leg = null;
    try {
      const hub = new URL(this.#endpoint).origin;
      leg = await openFirst(urls, (url) => this.#newLeg(url), this.#env.wait, hub);
      if (this.state !== "stopped") this.#state.on("accepted");
      if (this.#shown !== null) await this.#firstMedia(leg);
    } catch (error) {
      void leg?.close();
      if (this.state === "stopped") return true;
      await this.#failed(error instanceof HttpProblem ? error : new HttpProblem(0, String(error)));
      return false;
    }
    if (this.state === "stopped") void leg.close();
    else this.#adopt(leg);
    return true;
  }

  #newLeg(endpoint) {
    const token = this.#places.trusts(endpoint) ? this.#token : null;
    const leg = new WhepLeg(this.#env, { endpoint, token }, this.#handlers(() => leg));
    return leg;
  }

  #handlers(leg) {
    return {
      event: (event) => {
        this.#on.event?.(event);
        if (leg() !== this.#leg) return;
        if (event.name === "inactive") this.#publisherLeft();
        if (event.name === "active") this.#watch.reset(this.#env.now());
        if (event.name === "reconnect") void this.#moveTo(event.data);
      },
      gone: () => {
        if (leg() === this.#leg) void this.#checkSession(leg());
      },
      transport: (state) => {
        if (leg() !== this.#leg || !["failed", "closed", "disconnected"].includes(state)) return;
        this.log.add(this.#env.now(), `transport_${state}`, "check_session");
        void this.#checkSession(leg());
      },
    };
  }

  #publisherLeft() {
    this.log.add(this.#env.now(), "inactive", "wait");
    this.#state.on("publisher_gone");
  }

  /** SSE `reconnect`: make before break; without a URL the original endpoint is meant. */
  async #moveTo(data) {
    if (this.#renewing) return;
    const url = data && typeof data === "object" ? data.url : null;
    this.#moving = true;
    try {
      await this.#connect("reconnect", url ? new URL(url, this.#endpoint).href : null);
    } finally {
      this.#moving = false;
    }
  }

  async #failed(problem) {
    this.problem = problem;
    this.log.add(this.#env.now(), problem.reason, "retry");
    // While the old leg still plays (a move to another relay), the person need not know.
    if (!this.#moving || this.state !== "playing") {
      if (problem.reason === "nobody_on_air") this.#state.on("publisher_gone");
      else this.#state.on(problem.final ? "denied" : "failed");
      this.#on.state?.(this.state, problem);
    }
    const floorS = problem.final ? DENIED_RETRY_S : problem.retryAfterS;
    await this.#pause.wait(this.#backoff.failed(floorS) * 1000);
  }

  #adopt(leg) {
    const old = this.#leg;
    this.#leg = leg;
    this.#digest = null;
    this.#watch.reset(this.#env.now());
    this.#recovery.reset();
    if (this.#shown === null || !leg.publisherGone) this.#show(leg);
    if (leg.publisherGone) this.#state.on("publisher_gone");
    void old?.close();
    void this.tick();
  }

  #show(leg) {
    this.#surface.show(leg.stream(), this.#shown === null);
    this.#shown = leg;
  }

  /** Until the leg has decoded a frame (or plays voice alone, or its publisher is away). */
  async #firstMedia(leg) {
    const startMs = this.#env.now();
    let voiceMs = null;
    for (;;) {
      const digest = await leg.digest();
      const nowMs = this.#env.now();
      if (digest.framesDecoded > 0 || leg.publisherGone || this.state === "stopped") return;
      if (digest.audioPackets > 0 && digest.videoPackets === 0) voiceMs ??= nowMs;
      if (voiceMs !== null && nowMs - voiceMs >= VOICE_ALONE_MS) return;
      if (nowMs - startMs >= FIRST_MEDIA_LIMIT_MS) throw new HttpProblem(0, "no media");
      await this.#env.wait(FIRST_MEDIA_POLL_MS);
    }
  }
}
