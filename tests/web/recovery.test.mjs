import assert from "node:assert/strict";
import { test } from "node:test";

import { Recovery } from "../../viewer_web/core/recovery.js";

/** [at ms, action] of all that is decided when the verdict stays the same. */
function ladder(verdict, publisherGone, untilMs, random = () => 0.5) {
  const recovery = new Recovery({ random });
  const actions = [];
  for (let now = 0; now <= untilMs; now += 100) {
    const action = recovery.decide(verdict, publisherGone, now);
    if (action !== "none") actions.push([now, action]);
    if (action === "renew") break;
  }
  return actions;
}

test("a frozen picture: rebind the tracks, then renew", () => {
  assert.deepEqual(ladder("no_frames", false, 9000), [
    [0, "rebind"],
    [2000, "renew"],
  ]);
});

test("no packets: hold for the server's word, restart ICE, then renew", () => {
  assert.deepEqual(ladder("no_packets", false, 9000), [
    [800, "restart_ice"],
    [3300, "renew"],
  ]);
});

test("viewers of one dead publisher do not act in one moment", () => {
  const first = ladder("no_packets", false, 2000, () => 0)[0][0];
  const last = ladder("no_packets", false, 2000, () => 0.99)[0][0];
  assert.equal(last - first, 400);
});

test("publisher gone: wait, look at the session now and then, never reconnect", () => {
  const actions = ladder("no_packets", true, 60_000);
  assert.deepEqual(actions[0], [0, "wait"]);
  assert.deepEqual(
    actions.slice(1).map(([at]) => at),
    [10_000, 20_000, 30_000, 40_000, 50_000, 60_000],
  );
  assert.ok(actions.slice(1).every(([, action]) => action === "check_session"));
});

test("the server's word during the hold stops the restart", () => {
  const recovery = new Recovery({ random: () => 0.5 });
  assert.equal(recovery.decide("no_packets", false, 0), "none");
  assert.equal(recovery.decide("no_packets", true, 500), "wait");
  assert.equal(recovery.decide("no_packets", true, 1500), "none");
});

test("flowing media resets the ladder", () => {
  const recovery = new Recovery({ random: () => 0 });
  recovery.decide("no_frames", false, 0);
  assert.equal(recovery.decide("flowing", false, 500), "none");
  assert.equal(recovery.decide("no_frames", false, 1000), "rebind");
});

test("an unreachable node: two moves at once, then ever more slowly while that does not help", () => {
  const recovery = new Recovery({ random: () => 0.5 });
  const moves = [];
  for (let now = 0; now <= 30_000; now += 100) {
    if (recovery.decide("unreachable", false, now) === "move") moves.push(now);
  }
  assert.deepEqual(moves, [0, 100, 1600, 4600, 10_600, 22_600]);
});

test("after calm the first move is immediate again", () => {
  const recovery = new Recovery({ random: () => 0.5 });
  assert.equal(recovery.decide("unreachable", false, 0), "move");
  recovery.decide("flowing", false, 500);
  assert.equal(recovery.decide("unreachable", false, 40_000), "move");
});
