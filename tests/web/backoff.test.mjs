import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Backoff, backoffDelayS } from "../../viewer_web/core/backoff.js";

const vectors = JSON.parse(
  readFileSync(new URL("../fixtures/backoff.json", import.meta.url), "utf8"),
);

test("the vectors that the Python clients share", () => {
  assert.ok(vectors.cases.length > 20);
  for (const { attempt, fraction, delay_s: wanted } of vectors.cases) {
    const got = backoffDelayS(attempt, fraction, vectors.base_s, vectors.cap_s);
    assert.ok(Math.abs(got - wanted) < 1e-9, `attempt ${attempt}, fraction ${fraction}: ${got}`);
  }
});

test("waits grow, are capped, and start over after success", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  assert.deepEqual(
    Array.from({ length: 6 }, () => backoff.failed()),
    [0.25, 0.5, 1, 2, 4, 4],
  );
  backoff.succeeded();
  assert.equal(backoff.failed(), 0.25);
});

test("Retry-After is a floor with jitter above it", () => {
  assert.equal(new Backoff({ random: () => 0.5 }).failed(3), 3.25);
});
