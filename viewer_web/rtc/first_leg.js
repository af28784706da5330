/**
 * Opens a leg at the first place that answers. A place that fails leads to the next at once; one
 * that is slow gets company after half a second, and whoever comes second is closed again with
 * DELETE. Nobody is broken off for being slow: the slowest may be the only one that lives, and a
 * POST that is broken off leaves a session behind.
 */

import { HttpProblem } from "../core/problem.js";

export const COMPANY_MS = 500;
/** The same when a node has just died: the hub may not know yet, and send us back to it. */
export const COMPANY_AFTER_DEATH_MS = 200;
/** Answers that another place would give too. */
const TRUE_EVERYWHERE = new Set([401, 403, 404, 409, 422]);

/**
 * @param {string[]} urls
 * @param {(url: string) => import("./whep_leg.js").WhepLeg} newLeg
 * @param {object} options
 * @param {(ms: number) => Promise<void>} options.wait
 * @param {string} options.hub origin whose word counts for all
 * @param {number} [options.companyMs] patience with a place that has not answered
 * @param {AbortSignal} [options.signal] no leg is wanted any more
 * @returns {Promise<import("./whep_leg.js").WhepLeg>} an open leg; throws HttpProblem, or the
 *   signal's reason
 */
export function openFirst(urls, newLeg, { wait, hub, companyMs = COMPANY_MS, signal }) {
  return new Promise((resolve, reject) => {
    let next = 0;
    let pending = 0;
    let done = false;
    let worst = null;
    const finish = (action, value) => {
      done = true;
      action(value);
    };
    const failed = (url, error) => {
      pending -= 1;
      const problem = error instanceof HttpProblem ? error : new HttpProblem(0, String(error));
      worst ??= problem;
      if (done) return;
      const definite = TRUE_EVERYWHERE.has(problem.status) && new URL(url).origin === hub;
      if (definite) finish(reject, problem);
      else if (next < urls.length) start();
      else if (pending === 0) finish(reject, worst);
    };
    const start = () => {
      const url = urls[next];
      const mine = (next += 1);
      pending += 1;
      const leg = newLeg(url);
      leg.open().then(
        () => {
          pending -= 1;
          if (done) void leg.close();
          else finish(resolve, leg);
        },
        (error) => {
          void leg.close();
          failed(url, error);
        },
      );
      if (mine < urls.length) {
        void wait(companyMs).then(() => {
          if (!done && next === mine) start();
        });
      }
    };
    signal?.addEventListener("abort", () => done || finish(reject, signal.reason), { once: true });
    start();
  });
}
