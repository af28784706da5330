/** What went wrong and what was done about it, with times: for tests, support and telemetry. */

export const MAX_ENTRIES = 200;

export class RecoveryLog {
  entries = [];
  /** How often a picture that was lost came back. */
  recoveries = 0;
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

  /** Media flows again after trouble. */
  recovered(atMs) {
    if (this.#lostAtMs === null) return;
    this.recoveries += 1;
    const tookMs = Math.round(atMs - this.#lostAtMs);
    this.#lostAtMs = null;
    this.entries.push({ atMs: Math.round(atMs), reason: "flowing", action: "recovered", tookMs });
  }
}
