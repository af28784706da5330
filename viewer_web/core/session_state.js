/**
 * The states of a page's session as tables. An input that a state does not know raises and changes
 * nothing: it is a fault of ours, not of the network.
 *
 * Viewer:    idle → connecting → playing ⇄ frozen | reconnecting | waiting, denied, stopped
 * Publisher: idle → connecting → live ⇄ reconnecting, denied, stopped
 */

const LOST = { link_lost: "reconnecting", failed: "reconnecting", denied: "denied", stop: "stopped" };
const AWAY = { publisher_gone: "waiting" };

export const VIEWER_TABLE = Object.freeze({
  idle: { start: "connecting", stop: "stopped" },
  connecting: { ...LOST, ...AWAY, flowing: "playing", accepted: "connecting", frozen: "frozen" },
  playing: { ...LOST, ...AWAY, flowing: "playing", accepted: "playing", frozen: "frozen" },
  frozen: { ...LOST, ...AWAY, flowing: "playing", accepted: "frozen", frozen: "frozen" },
  // A waiting viewer whose try fails on the network is reconnecting: the sentence must be true.
  waiting: { ...LOST, ...AWAY, flowing: "playing", accepted: "waiting", frozen: "frozen" },
  reconnecting: {
    ...LOST,
    ...AWAY,
    flowing: "playing",
    accepted: "reconnecting",
    frozen: "reconnecting",
  },
  // A refused viewer asks again now and then: the hall's computer has nobody in front of it.
  denied: {
    ...LOST,
    ...AWAY,
    start: "connecting",
    flowing: "playing",
    accepted: "connecting",
    frozen: "frozen",
  },
  stopped: { start: "connecting", stop: "stopped" },
});

export const PUBLISHER_TABLE = Object.freeze({
  idle: { start: "connecting", stop: "stopped" },
  connecting: { ...LOST, flowing: "live", accepted: "connecting" },
  live: { ...LOST, flowing: "live", accepted: "live" },
  reconnecting: { ...LOST, flowing: "live", accepted: "reconnecting" },
  denied: { start: "connecting", stop: "stopped", denied: "denied" },
  stopped: { start: "connecting", stop: "stopped" },
});

export class SessionState {
  #table;
  #state = "idle";
  #onChange;

  /** @param {(state: string, previous: string) => void} [onChange] */
  constructor(table, onChange = () => {}) {
    this.#table = table;
    this.#onChange = onChange;
  }

  get value() {
    return this.#state;
  }

  /** Take an input; returns the new state. Throws RangeError on one that the state does not know. */
  on(input) {
    const next = this.#table[this.#state][input];
    if (next === undefined) throw new RangeError(`"${input}" in state "${this.#state}"`);
    const previous = this.#state;
    this.#state = next;
    if (next !== previous) this.#onChange(next, previous);
    return next;
  }
}
