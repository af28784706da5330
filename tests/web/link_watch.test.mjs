import assert from "node:assert/strict";
import { test } from "node:test";

import { LinkWatch } from "../../viewer_web/core/link_watch.js";

/** Runs steps of 500 ms; each step says how far packets, video packets and frames move. */
function run(watch, steps, { hidden = false, startMs = 0, state = {} } = {}) {
  const sample = { packets: 0, videoPackets: 0, frames: 0, ...state, hidden };
  let verdict = null;
  steps.forEach(([packets, video, frames], index) => {
    sample.packets += packets;
    sample.videoPackets += video;
    sample.frames += frames;
    verdict = watch.sample({ ...sample }, startMs + index * 500);
  });
  return verdict;
}

const flow = [100, 80, 15];
const silence = [0, 0, 0];
const frozen = [100, 80, 0];
const voice = [25, 0, 0];

test("flowing media is flowing", () => {
  assert.equal(run(new LinkWatch(), [flow, flow, flow, flow]).kind, "flowing");
});

test("1.5 s without a packet is a dead link, 1 s is not", () => {
  assert.equal(run(new LinkWatch(), [flow, flow, silence, silence]).kind, "flowing");
  const verdict = run(new LinkWatch(), [flow, flow, silence, silence, silence]);
  assert.equal(verdict.kind, "no_packets");
  assert.equal(verdict.forMs, 1500);
});

test("packets without a decoded frame for 3 s are a frozen picture", () => {
  const five = [flow, flow, frozen, frozen, frozen, frozen, frozen];
  assert.equal(run(new LinkWatch(), five).kind, "flowing");
  assert.equal(run(new LinkWatch(), [...five, frozen]).kind, "no_frames");
});

test("voice alone is a working link however long it lasts", () => {
  assert.equal(run(new LinkWatch(), [flow, ...Array(40).fill(voice)]).kind, "flowing");
});

test("a hidden page may stop decoding, and gets its time back when shown", () => {
  const watch = new LinkWatch();
  run(watch, [flow, flow]);
  const state = { packets: 200, videoPackets: 160, frames: 30 };
  const hidden = run(watch, Array(20).fill(frozen), { hidden: true, startMs: 1000, state });
  assert.equal(hidden.kind, "flowing");
  const shown = { packets: 2200, videoPackets: 1760, frames: 30 };
  assert.equal(run(watch, [frozen], { startMs: 11_000, state: shown }).kind, "flowing");
});

test("the first packet has 5 s, for ICE and DTLS take their time", () => {
  assert.equal(run(new LinkWatch(), Array(10).fill(silence)).kind, "starting");
  assert.equal(run(new LinkWatch(), Array(11).fill(silence)).kind, "no_packets");
});

test("a sleeping computer is not a dead link; one that stays silent is", () => {
  const watch = new LinkWatch();
  run(watch, [flow, flow]);
  const state = { packets: 200, videoPackets: 160, frames: 30 };
  const woken = run(watch, [silence], { startMs: 600_000, state });
  assert.deepEqual([woken.kind, woken.woke], ["flowing", true]);
  assert.equal(run(watch, Array(3).fill(silence), { startMs: 600_500, state }).kind, "no_packets");
});

test("counters that step back are a new receiver's progress", () => {
  const watch = new LinkWatch();
  run(watch, [flow, flow, silence, silence]);
  const verdict = watch.sample({ packets: 5, videoPackets: 4, frames: 1 }, 2000);
  assert.equal(verdict.kind, "flowing");
});

test("reset starts over", () => {
  const watch = new LinkWatch();
  run(watch, [flow, silence, silence, silence, silence]);
  watch.reset(2000);
  assert.equal(watch.sample({ packets: 0, videoPackets: 0, frames: 0 }, 2500).kind, "starting");
});

/** Steps of 250 ms: [packets, transport packets]. */
function transported(steps, extra = {}) {
  const watch = new LinkWatch();
  const sample = { packets: 0, videoPackets: 0, frames: 0, transport: 0, ...extra };
  let verdict = null;
  steps.forEach(([packets, transport], index) => {
    sample.packets += packets;
    sample.videoPackets += packets;
    sample.frames += packets;
    if (sample.transport !== null) sample.transport += transport;
    verdict = watch.sample({ ...sample }, index * 250);
  });
  return verdict;
}

test("a transport on which nothing arrives for 700 ms is a node that is gone", () => {
  assert.equal(transported([[9, 9], [9, 9], [0, 0], [0, 0]]).kind, "flowing");
  assert.equal(transported([[9, 9], [9, 9], [0, 0], [0, 0], [0, 0]]).kind, "unreachable");
});

test("RTCP without RTP is a silent publisher on a living node", () => {
  const verdict = transported([[9, 9], [9, 9], ...Array(8).fill([0, 1])]);
  assert.equal(verdict.kind, "no_packets");
});

test("with a broken event stream 300 ms are enough", () => {
  const broke = { eventsBroke: true };
  assert.equal(transported([[9, 9], [9, 9], [0, 0], [0, 0]], broke).kind, "unreachable");
});

test("with a refused request 150 ms are enough, counted or not", () => {
  const refused = { eventsBroke: true, refused: true };
  assert.equal(transported([[9, 9], [9, 9], [0, 0]], refused).kind, "unreachable");
  assert.equal(transported([[9, 9], [9, 9], [0, 0]], { ...refused, transport: null }).kind, "unreachable");
  assert.equal(transported([[9, 9], [9, 9], [0, 1]], refused).kind, "flowing");
});

test("a browser that does not count the transport's packets is judged by RTP as before", () => {
  assert.equal(transported([[9, 9], [9, 9], ...Array(4).fill([0, 0])], { transport: null }).kind, "flowing");
});

test("before the first packet nothing is called unreachable", () => {
  assert.equal(transported(Array(6).fill([0, 0])).kind, "starting");
});
