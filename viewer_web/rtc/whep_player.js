/**
 * A viewer that stays with the broadcast: connects, watches packets and frames, and climbs the
 * recovery ladder. The page gives a surface and is told the state; it decides nothing.
 *
 *   core/link_watch.js   what is wrong      core/places.js     where a session may be had
 *   core/recovery.js     what to do         rtc/first_leg.js   who of them answers first
 *
 * The ladder: a node that is gone is left at once; a decoder that stands still gets its tracks
 * anew, then a new session; packets that stop where nobody can tell node from publisher get an ICE
 * restart, then a new session; a silent publisher is waited for. A new leg is shown when it has
 * decoded its first frame, so the last picture stays until then, and the old leg lives: should its
 * media come back before, it is kept and the new one closed.
 */

import { Backoff } from "../core/backoff.js";
import { LinkWatch, UNREACHABLE_AFTER_REFUSAL_MS } from "../core/link_watch.js";
import { Places } from "../core/places.js";
import { HttpProblem } from "../core/problem.js";
import { Recovery } from "../core/recovery.js";
import { RecoveryLog } from "../core/recovery_log.js";
import { SessionState, VIEWER_TABLE } from "../core/session_state.js";
import { viewerRates } from "../core/stats_digest.js";
import { COMPANY_AFTER_DEATH_MS, COMPANY_MS, openFirst } from "./first_leg.js";
import { FIRST_MEDIA_LIMIT_MS, FIRST_MEDIA_OR_ELSEWHERE_MS, firstMedia } from "./first_media.js";
import { Pause } from "./pause.js";
import { WhepLeg } from "./whep_leg.js";

export const TICK_MS = 250;
/** Looks in a row with media after which a leg that was given up is trusted again. */
const REVIVED_LOOKS = 2;
/** Reasons that a leg which flows again takes away. */
const PASSING = new Set(["unreachable", "no_packets"]);
/** RTCP without RTP for so long, and no word of the publisher: something is stuck. */
const STUCK_MS = 6000;
/** A refused link is tried again after about this long: an operator may have mended it. */
export const DENIED_RETRY_S = 30;

/**
 * @typedef {object} Surface
 * @property {(stream: MediaStream, first: boolean) => void} show present a stream
 */

/**
 * A search for a new leg.
 * @typedef {object} Renewal
 * @property {string} reason
 * @property {string|null} from origin of the leg that is left
 * @property {number} startMs
 * @property {AbortController} stay aborted: the leg that we have is kept
 * @property {number} revived looks in a row at which the old leg had media
 * @property {number} mute places that answered and sent no media
 * @property {string|null} muteOrigin the last of these
 * @property {boolean} failed a whole round has failed
 */

export class WhepPlayer {
  #env;
  #endpoint;
  #token;
  #surface;
  #on;
  #leg = null;
  #shown = null;
  /** @type {Renewal|null} */
  #renewal = null;
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
   * @param {{state?: Function, figures?: Function, event?: Function, moved?: Function}} options.on
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

  /** On the way from one node to another, and nothing has failed yet. */
  get moving() {
    const { from, failed } = this.#renewal ?? { from: null };
    return from !== null && !failed && this.#places.alternatives.length > 0;
  }

  /** The leg that plays, or null. */
  get leg() {
    return this.#leg;
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
    this.#giveUpRenewal();
    const leg = this.#leg;
    this.#leg = null;
    await leg?.close({ keepalive });
  }

  /** Something changed outside (network back, page visible): look at once, wait no longer. */
  nudge(reason) {
    if (this.state === "stopped") return;
    this.#pause.wake();
    const lost = this.state === "reconnecting" && this.#renewal === null;
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
    const sample = leg.sample(digest);
    const verdict = this.#watch.sample(sample, this.#env.now());
    const voice = digest.videoPackets === 0 && digest.audioPackets > 0;
    const seen = digest.framesDecoded > 0 || voice || sample.voiceOnly;
    // The verdict is patient; only packets since the last look are media that flows.
    const moving = verdict.kind === "flowing" && verdict.forMs === 0;
    // The last packets of a session that was revoked do not talk a refusal away.
    const last = this.state === "denied" && this.#renewal?.revived + 1 < REVIVED_LOOKS;
    if (moving && seen && !leg.publisherGone && !last) this.#flowing();
    if (before) this.#on.figures?.(digest, viewerRates(digest, before));
    // RTCP still comes: the node lives, and it is the publisher who is silent.
    const alive = Number.isFinite(digest.transportPackets) && verdict.forMs < STUCK_MS;
    const waits = leg.publisherGone || alive;
    // While connecting anew, what the server answers is the truth, not the old leg's silence.
    if (this.#renewal === null || this.state === "playing") this.#note(verdict, leg, waits);
    if (this.#renewal !== null) {
      this.#reconsider(moving || (verdict.kind === "no_packets" && waits && alive));
      return;
    }
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
  #note(verdict, leg, waits) {
    if (verdict.kind === "no_frames") this.#state.on("frozen");
    if (verdict.kind === "unreachable") this.#state.on("link_lost");
    if (verdict.kind !== "no_packets") return;
    if (leg.publisherGone) this.#state.on("publisher_gone");
    else if (!waits) this.#state.on("link_lost");
  }

  /** The leg that was given up has media again and no other is up yet: stay. */
  #reconsider(hasMedia) {
    const renewal = this.#renewal;
    renewal.revived = hasMedia ? renewal.revived + 1 : 0;
    if (renewal.revived < REVIVED_LOOKS || !PASSING.has(renewal.reason)) return;
    this.log.note(this.#env.now(), "revived", "stay");
    this.#giveUpRenewal();
  }

  #giveUpRenewal() {
    this.#renewal?.stay.abort();
    this.#renewal = null;
    this.#pause.wake();
  }

  #act(action, leg, verdict) {
    if (action === "none") return;
    this.log.add(this.#env.now(), verdict.kind, action);
    if (action === "rebind") this.#show(leg);
    else if (action === "restart_ice") void this.#restartIce(leg, verdict.kind);
    else if (action === "check_session") void this.#checkSession(leg);
    else if (action === "renew") {
      // Frames that stand still are no fault of the node.
      const dead = verdict.kind === "no_packets" ? leg.origin : null;
      void this.#connect(verdict.kind, null, dead);
    } else if (action === "move") void this.#connect(verdict.kind, null, leg.origin);
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
      if (leg.eventsBroke) await this.#lookClosely(leg);
      return;
    }
    if (leg === this.#leg) void this.#connect("session_gone", null);
  }

  /** The node has taken no request: two looks tell whether anything still comes from it. */
  async #lookClosely(leg) {
    leg.refused = true;
    await this.tick();
    await this.#env.wait(UNREACHABLE_AFTER_REFUSAL_MS);
    await this.tick();
  }

  /**
   * Connect, again and again with backoff, until a leg plays or waits for the publisher.
   * first: tried before the usual places; dead: origin that has just fallen silent.
   */
  async #connect(reason, first, dead = null) {
    if (this.#renewal !== null || this.state === "stopped") return;
    const startMs = this.#env.now();
    const from = this.place;
    const counts = { revived: 0, mute: 0, muteOrigin: null, failed: false };
    const renewal = { reason, from, startMs, stay: new AbortController(), ...counts };
    this.#renewal = renewal;
    if (reason === "reconnect") this.log.note(startMs, reason, "connect");
    else if (reason !== "start") this.log.add(startMs, reason, "connect");
    this.#on.state?.(this.state, this.problem);
    const { signal } = renewal.stay;
    try {
      let urls = this.#places.urls(first, dead);
      while (!signal.aborted && !(await this.#attempt(urls, renewal))) {
        urls = this.#places.urls(null, renewal.muteOrigin);
      }
    } finally {
      if (this.#renewal === renewal) this.#renewal = null;
    }
    if (signal.aborted || from === null) return;
    this.log.moved(this.#env.now(), reason, { startMs, from, to: this.place });
    this.#on.moved?.();
  }

  /** One round over the places; true when a leg was adopted, or is not wanted any more. */
  async #attempt(urls, renewal) {
    const { signal } = renewal.stay;
    let leg = null;
    try {
      const hub = new URL(this.#endpoint).origin;
      const companyMs = renewal.reason === "unreachable" ? COMPANY_AFTER_DEATH_MS : COMPANY_MS;
      const { wait } = this.#env;
      leg = await openFirst(urls, (url) => this.#newLeg(url), { wait, hub, companyMs, signal });
      this.#state.on("accepted");
      const limitMs = urls.length > 1 ? FIRST_MEDIA_OR_ELSEWHERE_MS : FIRST_MEDIA_LIMIT_MS;
      if (this.#shown !== null) await firstMedia(leg, { env: this.#env, limitMs, signal });
    } catch (error) {
      const origin = leg?.origin ?? null;
      void leg?.close();
      if (signal.aborted) return true;
      await this.#failed(error, origin, urls.length, renewal);
      return false;
    }
    this.#adopt(leg);
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
    await this.#connect("reconnect", this.#places.named(data?.url));
  }

  /** muteOrigin: of the node that answered and sent no media, else null. */
  async #failed(error, muteOrigin, places, renewal) {
    const problem = error instanceof HttpProblem ? error : new HttpProblem(0, String(error));
    this.problem = problem;
    Object.assign(renewal, { muteOrigin, revived: 0 });
    this.log.add(this.#env.now(), problem.reason, "retry");
    // There are others to ask, and the person has waited long enough.
    if (muteOrigin !== null && (renewal.mute += 1) < places) return;
    renewal.mute = 0;
    renewal.failed = true;
    // While the old leg still plays (a move to another relay), the person need not know.
    if (renewal.reason !== "reconnect" || this.state !== "playing") {
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
}
