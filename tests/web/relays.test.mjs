import assert from "node:assert/strict";
import { test } from "node:test";

import { applyEvent } from "../../viewer_web/core/overview.js";
import { relayRow, relayRows } from "../../viewer_web/core/relays.js";

const relay = (id, state, extra = {}) => ({
  id,
  state,
  role: "relay",
  viewers: 21,
  capacity: 500,
  lineage: ["origin"],
  ...extra,
});

test("trouble stands first, then names", () => {
  const rows = relayRows([relay("b", "ready"), relay("c", "lost"), relay("a", "ready"), relay("d", "draining")]);
  assert.deepEqual(rows.map((row) => row.id), ["c", "d", "a", "b"]);
});

test("a relay can be drained once, and taken back", () => {
  assert.deepEqual([relayRow(relay("a", "ready")).canDrain, relayRow(relay("a", "ready")).canResume], [true, false]);
  assert.deepEqual([relayRow(relay("a", "draining")).canDrain, relayRow(relay("a", "draining")).canResume], [false, true]);
});

test("an origin is never drained from here, an empty relay has nobody to move", () => {
  assert.equal(relayRow(relay("o", "ready", { role: "origin" })).canDrain, false);
  assert.equal(relayRow(relay("a", "ready", { viewers: 0 })).canMove, false);
  assert.equal(relayRow(relay("a", "lost")).canMove, false);
});

test("a state of another version is shown, not hidden", () => {
  assert.equal(relayRow(relay("a", "resting")).tone, "unknown");
});

test("the event `relays` replaces the relays alone", () => {
  const before = { communes: [], relays: [], stream: { name: "x" } };
  const after = applyEvent(before, { name: "relays", data: { relays: [relay("a", "ready")] } });
  assert.equal(after.relays[0].id, "a");
  assert.equal(after.stream, before.stream);
});
