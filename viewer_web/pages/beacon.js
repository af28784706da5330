/** Reports the viewer's own figures to the hub, so that the operator sees what the hall sees. */

import { HttpProblem } from "../core/problem.js";
import { telemetry } from "../core/stats_digest.js";
import { fetchJson } from "./api.js";

const MIN_MS = 2000;
const SPREAD_MS = 3000;
/** A hub that hangs must not gather requests: browsers allow a host six at a time. */
const LIMIT_MS = 2000;

export class TelemetryBeacon {
  #env;
  #player;
  #token;
  /** Reports that did not arrive: the picture never depends on them. */
  failures = 0;

  constructor(env, player, token) {
    this.#env = env;
    this.#player = player;
    this.#token = token;
  }

  start() {
    void this.#run();
  }

  async #run() {
    for (;;) {
      await this.#env.wait(MIN_MS + this.#env.random() * SPREAD_MS);
      const { digest, state, sessionId, leg } = this.#player;
      if (digest === null || sessionId === null) continue;
      try {
        await fetchJson(this.#env, "/api/viewer/telemetry", this.#token, {
          method: "POST",
          timeoutMs: LIMIT_MS,
          body: telemetry(digest, state, sessionId, leg.line),
        });
      } catch (error) {
        if (!(error instanceof HttpProblem)) throw error;
        this.failures += 1;
      }
    }
  }
}
