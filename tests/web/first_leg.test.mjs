import assert from "node:assert/strict";
import { test } from "node:test";

import { HttpProblem } from "../../viewer_web/core/problem.js";
import { COMPANY_AFTER_DEATH_MS, openFirst } from "../../viewer_web/rtc/first_leg.js";
import { settle, VirtualClock } from "./fakes.mjs";

const HUB = "http://hub:1/whep/s";
const R1 = "http://r1:1/whep/s";
const R2 = "http://r2:1/whep/s";

/** Legs that answer as `answers` says: url → [ms, status or "ok"]. */
function world(answers) {
  const clock = new VirtualClock();
  const log = { opened: [], closed: [] };
  const newLeg = (url) => ({
    url,
    async open() {
      log.opened.push([url, clock.nowMs]);
      const [ms, what] = answers[url];
      if (ms > 0) await clock.wait(ms);
      if (what !== "ok") throw new HttpProblem(what, "");
    },
    async close() {
      log.closed.push(url);
    },
  });
  const open = (urls, extra) =>
    openFirst(urls, newLeg, { wait: (ms) => clock.wait(ms), hub: "http://hub:1", ...extra });
  return { clock, log, open };
}

test("the hub answers: nobody else is asked", async () => {
  const { clock, log, open } = world({ [HUB]: [100, "ok"], [R1]: [0, "ok"] });
  const leg = open([HUB, R1]);
  await clock.run(1000);
  assert.equal((await leg).url, HUB);
  assert.deepEqual(log.opened.map(([url]) => url), [HUB]);
});

test("refused connection: the next place at once, without waiting", async () => {
  const { clock, log, open } = world({ [HUB]: [0, 0], [R1]: [0, 503], [R2]: [0, "ok"] });
  const leg = open([HUB, R1, R2]);
  await settle();
  assert.equal((await leg).url, R2);
  assert.ok(log.opened.every(([, at]) => at === 0));
  assert.deepEqual(log.closed, [HUB, R1]);
});

test("a slow hub gets company after half a second; who comes second is closed", async () => {
  const { clock, log, open } = world({ [HUB]: [2000, "ok"], [R1]: [100, "ok"] });
  const leg = open([HUB, R1]);
  await clock.run(3000);
  assert.equal((await leg).url, R1);
  assert.deepEqual(log.opened, [
    [HUB, 0],
    [R1, 500],
  ]);
  assert.deepEqual(log.closed, [HUB]);
});

test("the hub's word counts: a revoked link or an empty stage is not asked elsewhere", async () => {
  for (const status of [401, 403, 409]) {
    const { log, open } = world({ [HUB]: [0, status], [R1]: [0, "ok"] });
    await assert.rejects(open([HUB, R1]), (problem) => problem.status === status);
    assert.equal(log.opened.length, 1);
  }
});

test("a relay's refusal is its own: the next is asked", async () => {
  const { open } = world({ [R1]: [0, 409], [HUB]: [0, "ok"] });
  assert.equal((await open([R1, HUB])).url, HUB);
});

test("when nobody can serve, the first place's reason is told", async () => {
  const { open } = world({ [HUB]: [0, 503], [R1]: [0, 0] });
  await assert.rejects(open([HUB, R1]), (problem) => problem.status === 503);
});

test("after a death the hub gets company sooner", async () => {
  const { clock, log, open } = world({ [HUB]: [2000, "ok"], [R1]: [100, "ok"] });
  const leg = open([HUB, R1], { companyMs: COMPANY_AFTER_DEATH_MS });
  await clock.run(400);
  assert.equal((await leg).url, R1);
  assert.deepEqual(log.opened[1], [R1, COMPANY_AFTER_DEATH_MS]);
});

test("a slow place is not broken off: it may be the only one that lives", async () => {
  const { clock, open } = world({ [HUB]: [3000, "ok"], [R1]: [0, 0], [R2]: [0, 503] });
  const leg = open([HUB, R1, R2]);
  await clock.run(4000);
  assert.equal((await leg).url, HUB);
});

test("not wanted any more: ends at once, and who answers later is closed", async () => {
  const { clock, log, open } = world({ [HUB]: [1000, "ok"], [R1]: [1000, "ok"] });
  const giveUp = new AbortController();
  const leg = open([HUB, R1], { signal: giveUp.signal });
  const refused = assert.rejects(leg, { name: "AbortError" });
  await clock.run(300);
  giveUp.abort();
  await refused;
  await clock.run(2000);
  assert.deepEqual(log.closed, [HUB]);
  assert.equal(log.opened.length, 1);
});
