/**
 * Exponential backoff with full jitter: 63 pages must not return in step after an outage.
 * The Python clients use the same formula; both are tested against tests/fixtures/backoff.json.
 */

export const BASE_S = 0.5;
export const CAP_S = 8;

/**
 * Seconds to wait before try number `attempt` + 1.
 * @param {number} attempt failures in a row before this one, from 0
 * @param {number} fraction in [0, 1), from a random source
 */
export function backoffDelayS(attempt, fraction, baseS = BASE_S, capS = CAP_S) {
  return fraction * Math.min(capS, baseS * 2 ** Math.min(attempt, 60));
}

/** Counts failures in a row and says how long to wait after each. */
export class Backoff {
  #attempt = 0;
  #random;
  #baseS;
  #capS;

  constructor({ random = Math.random, baseS = BASE_S, capS = CAP_S } = {}) {
    this.#random = random;
    this.#baseS = baseS;
    this.#capS = capS;
  }

  get attempt() {
    return this.#attempt;
  }

  /**
   * Note a failure; seconds to wait. Retry-After is a floor, with jitter above it: the server told
   * everyone the same number.
   */
  failed(retryAfterS = null) {
    const delayS = backoffDelayS(this.#attempt, this.#random(), this.#baseS, this.#capS);
    this.#attempt += 1;
    return retryAfterS === null ? delayS : retryAfterS + delayS;
  }

  /** Media flows: the next failure starts from the shortest wait. */
  succeeded() {
    this.#attempt = 0;
  }
}
