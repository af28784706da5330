import assert from "node:assert/strict";
import { test } from "node:test";

import {
  PUBLISHER_TABLE,
  SessionState,
  VIEWER_TABLE,
} from "../../viewer_web/core/session_state.js";

function walk(table, inputs) {
  const state = new SessionState(table);
  return inputs.map((input) => state.on(input));
}

test("a viewer's day", () => {
  const inputs = [
    ...["start", "accepted", "flowing", "frozen", "flowing", "link_lost", "failed"],
    ...["publisher_gone", "accepted", "flowing", "denied", "flowing", "stop", "start"],
  ];
  assert.deepEqual(walk(VIEWER_TABLE, inputs), [
    ...["connecting", "connecting", "playing", "frozen", "playing", "reconnecting", "reconnecting"],
    ...["waiting", "waiting", "playing", "denied", "playing", "stopped", "connecting"],
  ]);
});

test("a publisher's day", () => {
  assert.deepEqual(
    walk(PUBLISHER_TABLE, ["start", "accepted", "flowing", "link_lost", "flowing", "stop"]),
    ["connecting", "connecting", "live", "reconnecting", "live", "stopped"],
  );
});

test("an input that a state does not know raises and changes nothing", () => {
  const state = new SessionState(VIEWER_TABLE);
  assert.throws(() => state.on("flowing"), RangeError);
  assert.equal(state.value, "idle");
});

test("every state can be stopped, and every target state exists", () => {
  for (const table of [VIEWER_TABLE, PUBLISHER_TABLE]) {
    for (const row of Object.values(table)) {
      assert.equal(row.stop, "stopped");
      for (const target of Object.values(row)) assert.ok(target in table, target);
    }
  }
});

test("listeners hear of changes alone", () => {
  const heard = [];
  const state = new SessionState(VIEWER_TABLE, (next, previous) => heard.push([previous, next]));
  for (const input of ["start", "accepted", "flowing", "flowing"]) state.on(input);
  assert.deepEqual(heard, [
    ["idle", "connecting"],
    ["connecting", "playing"],
  ]);
});
