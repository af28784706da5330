/** What went wrong and what was done about it, with times: for tests, support and telemetry. */

export const MAX_ENTRIES = 200;

export class RecoveryLog {
  entries = [];
  /** How often a picture that was lost came back. */
  recoveries = 0;
  /** @type {{at_ms: number, reason: string, took_ms: number, from: string, to: string}[]} */
  moves = [];
  #lostAtMs = null;

  add(atMs, reason, action) {
    this.#lostAtMs ??= atMs;
    this.note(atMs, reason, action);
  }

  /** Something was done while the picture went on. */
  note(atMs, reason, action) {
    this.entries.push({ atMs: Math.round(atMs), reason, action });
    if (this.entries.length > MAX_ENTRIES) this.entries.shift();
  }

  /** Another session has taken over; from, to: origins, equal if it is of the same node. */
  moved(atMs, reason, { startMs, from, to }) {
    const took_ms = Math.round(atMs - startMs);
    this.moves.push({ at_ms: Math.round(startMs), reason, took_ms, from, to });
    if (this.moves.length > MAX_ENTRIES) this.moves.shift();
  }

  /** Media flows again after trouble. */
  recovered(atMs) {
    if (this.#lostAtMs === null) return;
    this.recoveries += 1;
    const tookMs = Math.round(atMs - this.#lostAtMs);
    this.#lostAtMs = null;
    this.entries.push({ atMs: Math.round(atMs), reason: "flowing", action: "recovered", tookMs });
  }
}
