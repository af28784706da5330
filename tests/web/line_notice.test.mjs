import assert from "node:assert/strict";
import { test } from "node:test";

import { LineNotice } from "../../viewer_web/core/line_notice.js";

/** Looks every 250 ms; each step says how far video bytes and audio packets move. */
function run(notice, steps, { active = true, startMs = 0, state = { videoBytes: 0, audioPackets: 0 } } = {}) {
  let last = "none";
  steps.forEach(([video, audio], index) => {
    state.videoBytes += video;
    state.audioPackets += audio;
    last = notice.look({ ...state }, active, startMs + index * 250);
  });
  return last;
}

const flow = [9000, 5];
const voice = [0, 5];
const silence = [0, 0];

const rows = [
  [{ state: "full", reason: "publisher" }, "none"],
  [{ state: "full", reason: "size" }, "none"],
  [{ state: "reduced", reason: "line" }, "reduced"],
  [{ state: "reduced", reason: "size" }, "none"],
  [{ state: "reduced", reason: "pin" }, "none"],
  [{ state: "audio-only", reason: "line" }, "audio-only"],
];
for (const [event, wanted] of rows) {
  test(`the node says ${event.state} because of ${event.reason}: ${wanted}`, () => {
    const notice = new LineNotice();
    notice.onEvent(event);
    assert.equal(run(notice, [flow, flow]), wanted);
    assert.equal(notice.told, event);
  });
}

test("what is not of the contract changes nothing", () => {
  const notice = new LineNotice();
  notice.onEvent({ state: "reduced", reason: "line" });
  for (const data of [null, "reduced", 7, {}, { state: "half" }]) notice.onEvent(data);
  assert.equal(run(notice, [flow]), "reduced");
});

test("without the node's word, voice without video for 2 s is a weak line", () => {
  const notice = new LineNotice();
  assert.equal(run(notice, [flow, flow, ...Array(7).fill(voice)]), "none");
  assert.equal(run(new LineNotice(), [flow, flow, ...Array(8).fill(voice)]), "audio-only");
});

test("the picture's first byte takes the notice away", () => {
  assert.equal(run(new LineNotice(), [flow, ...Array(12).fill(voice), flow]), "none");
});

test("silence of both is no matter of the line's width", () => {
  assert.equal(run(new LineNotice(), [flow, flow, ...Array(20).fill(silence)]), "none");
});

test("a broadcast that never had a picture is no weak line", () => {
  assert.equal(run(new LineNotice(), Array(40).fill(voice)), "none");
});

test("nothing is inferred while the publisher is away, nor at once when it is back", () => {
  const notice = new LineNotice();
  const state = { videoBytes: 9000, audioPackets: 5 };
  run(notice, [flow, flow], { state });
  assert.equal(run(notice, Array(20).fill(voice), { active: false, startMs: 500, state }), "none");
  assert.equal(run(notice, Array(7).fill(voice), { startMs: 5500, state }), "none");
});

test("the node's word goes before what is seen", () => {
  const notice = new LineNotice();
  notice.onEvent({ state: "full", reason: "publisher" });
  assert.equal(run(notice, [flow, ...Array(20).fill(voice)]), "none");
  notice.onEvent({ state: "audio-only", reason: "line" });
  assert.equal(notice.notice(6000), "audio-only");
});
