/**
 * A publisher that stays on air: connects, watches what the server sends back, restarts ICE, and
 * makes a new session when that does not help. The server lets a token take over its own session,
 * so the picture on air is cut only if the network is.
 */

import { Backoff } from "../core/backoff.js";
import { HttpProblem } from "../core/problem.js";
import { PublishWatch } from "../core/publish_watch.js";
import { RecoveryLog } from "../core/recovery_log.js";
import { PUBLISHER_TABLE, SessionState } from "../core/session_state.js";
import { publisherRates } from "../core/stats_digest.js";
import { Pause } from "./pause.js";
import { WhipLeg } from "./whip_leg.js";

export const TICK_MS = 500;
export const RESTART_PATIENCE_MS = 3000;

export class WhipPublisher {
  #env;
  #where;
  #settings;
  #stream;
  #on;
  #leg = null;
  #state;
  #digest = null;
  #watch = new PublishWatch();
  #restartedMs = null;
  #connecting = false;
  #stopTicks = null;
  #backoff;
  #pause;
  #ticking = false;
  problem = null;
  log = new RecoveryLog();

  /**
   * @param {object} options
   * @param {string} options.endpoint absolute WHIP URL
   * @param {MediaStream} options.stream what is sent; its tracks may be replaced by `replace`
   */
  constructor({ env, endpoint, token, stream, settings, on = {} }) {
    this.#env = env;
    this.#where = { endpoint, token };
    this.#stream = stream;
    this.#settings = settings;
    this.#on = on;
    this.#state = new SessionState(PUBLISHER_TABLE, (next) => on.state?.(next, this.problem));
    this.#backoff = new Backoff({ random: env.random });
    this.#pause = new Pause(env);
  }

  get state() {
    return this.#state.value;
  }

  get sessionId() {
    return this.#leg?.session.id ?? null;
  }

  start() {
    this.#state.on("start");
    this.#stopTicks ??= this.#env.every(TICK_MS, () => void this.tick());
    void this.#connect("start");
  }

  async stop({ keepalive = false } = {}) {
    this.#state.on("stop");
    this.#stopTicks?.();
    this.#stopTicks = null;
    this.#pause.wake();
    const leg = this.#leg;
    this.#leg = null;
    await leg?.close({ keepalive });
  }

  nudge() {
    if (this.state === "stopped") return;
    this.#pause.wake();
    void this.tick();
  }

  /** The stream has another track of `kind` now (or none). */
  async replace(kind) {
    const track = this.#stream.getTracks().find((one) => one.kind === kind) ?? null;
    await this.#leg?.replace(kind, track);
  }

  async configure(settings) {
    this.#settings = settings;
    await this.#leg?.limit(settings);
  }

  async tick() {
    const leg = this.#leg;
    if (leg === null || this.#ticking || this.#connecting) return;
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
    if (before) this.#on.figures?.(digest, publisherRates(digest, before));
    const sample = {
      echoes: digest.responsesReceived + digest.reportsReceived,
      frames: digest.framesEncoded,
      hasVideo: this.#stream.getVideoTracks().length > 0,
      transport: digest.transportPackets,
    };
    const nowMs = this.#env.now();
    const verdict = this.#watch.sample(sample, nowMs);
    if (verdict === "no_echo") this.#lost(leg, nowMs);
    else if (digest.packetsSent > 0) this.#flowing(verdict);
  }

  #flowing(verdict) {
    this.#restartedMs = null;
    this.#backoff.succeeded();
    this.#on.camera?.(verdict !== "no_frames");
    if (this.state === "live") return;
    this.log.recovered(this.#env.now());
    this.problem = null;
    this.#state.on("flowing");
  }

  #lost(leg, nowMs) {
    this.#state.on("link_lost");
    if (this.#restartedMs === null) {
      this.#restartedMs = nowMs;
      this.log.add(nowMs, "no_echo", "restart_ice");
      void this.#restartIce(leg);
    } else if (nowMs - this.#restartedMs >= RESTART_PATIENCE_MS) {
      void this.#connect("no_echo");
    }
  }

  async #restartIce(leg) {
    try {
      await leg.restartIce();
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      if (leg === this.#leg) void this.#connect(`restart: ${error.reason}`);
    }
  }

  async #connect(reason) {
    if (this.#connecting || this.state === "stopped") return;
    this.#connecting = true;
    if (reason !== "start") this.log.add(this.#env.now(), reason, "connect");
    try {
      while (this.state !== "stopped" && !(await this.#attempt()));
    } finally {
      this.#connecting = false;
    }
  }

  /** One try; true when there is nothing more to try. */
  async #attempt() {
    const leg = new WhipLeg(this.#env, this.#where, {
      transport: (state) => void this.#transport(leg, state),
    });
    try {
      await leg.open(this.#stream, this.#settings);
    } catch (error) {
      void leg.close();
      if (this.state === "stopped") return true;
      return this.#failed(error instanceof HttpProblem ? error : new HttpProblem(0, String(error)));
    }
    if (this.state === "stopped") {
      void leg.close();
      return true;
    }
    this.#adopt(leg);
    return true;
  }

  #adopt(leg) {
    const old = this.#leg;
    this.#leg = leg;
    this.#digest = null;
    this.#restartedMs = null;
    this.#watch.reset();
    this.#state.on("accepted");
    void old?.close();
  }

  async #failed(problem) {
    this.problem = problem;
    this.log.add(this.#env.now(), problem.reason, "retry");
    // 409 to a publisher: somebody else is on air. It is asked again, for he may leave.
    this.#state.on(problem.final ? "denied" : "failed");
    this.#on.state?.(this.state, problem);
    if (problem.final) return true;
    await this.#pause.wait(this.#backoff.failed(problem.retryAfterS) * 1000);
    return false;
  }

  /** A hint alone: the server is asked whether the session lives. */
  async #transport(leg, state) {
    if (leg !== this.#leg || !["failed", "closed", "disconnected"].includes(state)) return;
    this.log.add(this.#env.now(), `transport_${state}`, "check_session");
    try {
      if (await leg.isAlive()) return;
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      // Out of reach: the watch restarts ICE when nothing comes back.
      return;
    }
    if (leg === this.#leg) void this.#connect("session_gone");
  }
}
