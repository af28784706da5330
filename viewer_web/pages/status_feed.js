/** The studio's status, asked every two seconds; slower while the hub is out of reach. */

import { Backoff } from "../core/backoff.js";
import { HttpProblem } from "../core/problem.js";
import { fetchJson } from "./api.js";

const POLL_MS = 2000;

export async function followStatus(env, token, onStatus) {
  const backoff = new Backoff({ random: env.random });
  for (;;) {
    let waitMs = POLL_MS;
    try {
      onStatus(await fetchJson(env, "/api/studio/status", token));
      backoff.succeeded();
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      waitMs += backoff.failed(error.retryAfterS) * 1000;
    }
    await env.wait(waitMs);
  }
}
