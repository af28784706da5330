import assert from "node:assert/strict";
import { test } from "node:test";

import { Places } from "../../viewer_web/core/places.js";

const HUB = "https://hub.vn/whep/phien-hop";
const RELAYS = ["http://r1:1", "http://r2:2/"];

function store(initial = {}) {
  const kept = { ...initial };
  return { kept, getItem: (key) => kept[key] ?? null, setItem: (key, value) => (kept[key] = value) };
}

function places() {
  const made = new Places(HUB);
  made.take(RELAYS);
  return made;
}

test("the hub first, then relays in the hub's order, with the stream's path", () => {
  assert.deepEqual(places().urls(), [HUB, "http://r1:1/whep/phien-hop", "http://r2:2/whep/phien-hop"]);
});

test("a place named by an event goes first and keeps its ticket", () => {
  const url = "http://r2:2/whep/phien-hop?ticket=x";
  assert.equal(places().urls(url)[0], url);
});

test("a node that has just fallen silent is tried last", () => {
  assert.deepEqual(places().urls(null, "http://r1:1").map((url) => new URL(url).origin), [
    "https://hub.vn",
    "http://r2:2",
    "http://r1:1",
  ]);
});

test("the token goes to the hub and to relays that it has named, nowhere else", () => {
  const made = places();
  assert.ok(made.trusts(HUB));
  assert.ok(made.trusts("http://r1:1/whep/phien-hop"));
  assert.ok(!made.trusts("http://r1:2/whep/phien-hop"));
  assert.ok(!made.trusts("https://evil.example/whep/phien-hop"));
});

test("the list outlives a reload", () => {
  const storage = store();
  new Places(HUB, storage).take(RELAYS);
  assert.deepEqual(new Places(HUB, storage).alternatives, RELAYS);
});

test("what is no list of URLs is left out", () => {
  for (const bad of [null, "x", [1, {}, "javascript:alert(1)", "not a url"]]) {
    const made = new Places(HUB);
    made.take(bad);
    assert.deepEqual(made.urls(), [HUB]);
  }
  assert.deepEqual(new Places(HUB, store({ "wardcast.places": "{" })).urls(), [HUB]);
});
