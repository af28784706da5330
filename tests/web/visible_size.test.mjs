import assert from "node:assert/strict";
import { test } from "node:test";

import { layerLink, parseLinks } from "../../viewer_web/core/link_header.js";
import { HttpProblem } from "../../viewer_web/core/problem.js";
import { visibleSize } from "../../viewer_web/core/visible_size.js";
import { RETRY_MS, SETTLE_MS, SizeTeller } from "../../viewer_web/rtc/size_teller.js";
import { settle, VirtualClock } from "./fakes.mjs";

const small = { maxWidth: 640, maxHeight: 360 };
const large = { maxWidth: 1920, maxHeight: 1080 };

/** A session that keeps what it is asked, and refuses with `problem` while that is set. */
class FakeSession {
  layer = "https://hub.vn/session/1/layer";
  asked = [];
  problem = null;

  async askLayer(size) {
    this.asked.push(size);
    if (this.problem !== null) throw this.problem;
  }
}

function teller() {
  const clock = new VirtualClock();
  return { clock, teller: new SizeTeller({ wait: (ms) => clock.wait(ms) }) };
}

test("device pixels of the video's box", () => {
  assert.deepEqual(visibleSize({ width: 640.4, height: 360 }, 1.5), { maxWidth: 961, maxHeight: 540 });
  assert.equal(visibleSize({ width: 640, height: 0 }, 1), null);
  assert.equal(visibleSize({ width: 99_999, height: 10 }, 2).maxWidth, 16_384);
});

test("the layer extension is found in the answer's Link", () => {
  const header = '<l?t=1>; rel="urn:ietf:params:whep:ext:core:layer", <turn:x>; rel="ice-server"';
  assert.equal(layerLink(parseLinks(header)), "l?t=1");
  assert.equal(layerLink(parseLinks("")), null);
});

test("a size is told once it has stayed the same for a moment", async () => {
  const { clock, teller: one } = teller();
  const session = new FakeSession();
  one.use(session);
  for (let width = 600; width < 700; width += 20) {
    one.see({ maxWidth: width, maxHeight: 360 });
    await clock.run(SETTLE_MS / 2);
  }
  await clock.run(2 * SETTLE_MS);
  assert.deepEqual(session.asked.at(-1), { maxWidth: 680, maxHeight: 360 });
  assert.ok(session.asked.length <= 2, String(session.asked.length));
  one.see({ maxWidth: 680, maxHeight: 360 });
  const before = session.asked.length;
  await clock.run(5000);
  assert.equal(session.asked.length, before);
});

test("another session is told at once", async () => {
  const { clock, teller: one } = teller();
  one.use(new FakeSession());
  one.see(small);
  await clock.run(1000);
  const next = new FakeSession();
  one.use(next);
  await clock.run(50);
  assert.deepEqual(next.asked, [small]);
  assert.deepEqual(one.told, small);
});

test("a server without the extension is left alone", async () => {
  const { clock, teller: one } = teller();
  const session = new FakeSession();
  session.layer = null;
  one.use(session);
  one.see(small);
  await clock.run(10_000);
  assert.deepEqual(session.asked, []);
});

test("a server out of reach is asked again, with the size of then", async () => {
  const { clock, teller: one } = teller();
  const session = new FakeSession();
  session.problem = new HttpProblem(0, "");
  one.use(session);
  one.see(small);
  await clock.run(1000);
  assert.deepEqual([session.asked, one.told], [[small], null]);
  session.problem = null;
  one.see(large);
  await clock.run(2 * RETRY_MS);
  assert.deepEqual([session.asked.at(-1), one.told], [large, large]);
});

test("a refusal is not repeated", async () => {
  const { clock, teller: one } = teller();
  const session = new FakeSession();
  session.problem = new HttpProblem(404, "");
  one.use(session);
  one.see(small);
  await clock.run(60_000);
  assert.equal(session.asked.length, 1);
});

test("a session that ends while it is told does not count", async () => {
  const { clock, teller: one } = teller();
  const session = new FakeSession();
  let refuse;
  session.askLayer = () => new Promise((_, reject) => (refuse = reject));
  one.use(session);
  one.see(small);
  await clock.run(1000);
  const next = new FakeSession();
  one.use(next);
  refuse(new HttpProblem(404, ""));
  await settle();
  await clock.run(1000);
  assert.deepEqual([next.asked, one.told], [[small], small]);
});
