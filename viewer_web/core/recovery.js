/**
 * Which step to take when the link watch complains. Steps go from cheap to dear:
 *
 *   node unreachable:    move: another session elsewhere at once; the old one stays until it plays,
 *                        and for good if it comes back to life before
 *   frames stand still:  rebind the tracks → renew the session
 *   packets stopped:     publisher gone: wait on the session we have (the server resumes it)
 *                        otherwise: restart ICE → renew the session
 *
 * One action is returned once; the next comes only when the patience of the last has run out.
 */

export const REBIND_PATIENCE_MS = 2000;
export const RESTART_PATIENCE_MS = 2500;
/** While the publisher is away the session is looked at this often, so that a lost one is noticed. */
export const CHECK_SESSION_MS = 10_000;
/**
 * The server says `inactive` after 2 s of silence (1.5 s is when the watch speaks): hold until that
 * could have come, then act spread over time, for all viewers lose a dead publisher in one moment.
 */
export const HOLD_MS = 600;
export const SPREAD_MS = 400;
/** Two moves are free; more, each soon after the last, wait ever longer: a line that is bad
 * everywhere must not flap. */
export const FREE_MOVES = 2;
export const MOVE_PATIENCE_MS = 1500;
export const MAX_MOVE_PATIENCE_MS = 12_000;
export const CALM_MS = 30_000;

/** @typedef {"none"|"move"|"rebind"|"restart_ice"|"renew"|"wait"|"check_session"} RecoveryAction */

export class Recovery {
  #random;
  #step = "none";
  #untilMs = 0;
  #movedMs = -Infinity;
  #moves = 0;

  constructor({ random = Math.random } = {}) {
    this.#random = random;
  }

  /** The link works again, or a new one is there. */
  reset() {
    this.#step = "none";
    this.#untilMs = 0;
  }

  /**
   * @param {import("./link_watch.js").Verdict["kind"]} verdict
   * @param {boolean} publisherGone the server has said `inactive`
   * @returns {RecoveryAction}
   */
  decide(verdict, publisherGone, nowMs) {
    if (verdict === "flowing" || verdict === "starting") {
      if (verdict === "flowing") this.reset();
      return "none";
    }
    if (verdict === "unreachable") return this.#unreachable(nowMs);
    if (verdict === "no_frames") return this.#frames(nowMs);
    return publisherGone ? this.#absent(nowMs) : this.#packets(nowMs);
  }

  #unreachable(nowMs) {
    const sinceMs = nowMs - this.#movedMs;
    if (sinceMs >= CALM_MS) this.#moves = 0;
    if (sinceMs < movePatienceMs(this.#moves)) return "none";
    this.#moves += 1;
    this.#movedMs = nowMs;
    return "move";
  }

  #frames(nowMs) {
    if (this.#step !== "rebind") return this.#enter("rebind", "rebind", nowMs + REBIND_PATIENCE_MS);
    return nowMs >= this.#untilMs ? this.#renew() : "none";
  }

  #packets(nowMs) {
    if (this.#step === "spread") {
      if (nowMs < this.#untilMs) return "none";
      return this.#enter("restart", "restart_ice", nowMs + RESTART_PATIENCE_MS);
    }
    if (this.#step === "restart") return nowMs >= this.#untilMs ? this.#renew() : "none";
    return this.#enter("spread", "none", nowMs + HOLD_MS + this.#random() * SPREAD_MS);
  }

  #absent(nowMs) {
    if (this.#step === "wait") {
      if (nowMs < this.#untilMs) return "none";
      return this.#enter("wait", "check_session", this.#nextCheck(nowMs));
    }
    return this.#enter("wait", "wait", this.#nextCheck(nowMs));
  }

  #nextCheck(nowMs) {
    return nowMs + CHECK_SESSION_MS * (0.5 + this.#random());
  }

  #renew() {
    this.reset();
    return "renew";
  }

  #enter(step, action, untilMs) {
    this.#step = step;
    this.#untilMs = untilMs;
    return action;
  }
}

function movePatienceMs(moves) {
  if (moves < FREE_MOVES) return 0;
  return Math.min(MAX_MOVE_PATIENCE_MS, MOVE_PATIENCE_MS * 2 ** (moves - FREE_MOVES));
}
