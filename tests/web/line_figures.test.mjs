import assert from "node:assert/strict";
import { test } from "node:test";

import { codecNames, lossOf, onlyWay, stepsOf } from "../../viewer_web/core/line_figures.js";

const SDP = [
  "v=0",
  "a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host",
  "a=candidate:2 1 tcp 1694498815 192.0.2.1 7000 typ host tcptype passive",
  "a=end-of-candidates",
].join("\r\n");

test("an answer for one way has the candidates of that way alone", () => {
  assert.equal(onlyWay(SDP, "udp").match(/a=candidate/g).length, 1);
  assert.match(onlyWay(SDP, "udp"), / udp /);
  assert.match(onlyWay(SDP, "tcp"), /tcptype passive/);
  assert.match(onlyWay(SDP, "tcp"), /a=end-of-candidates/);
});

test("steps are read off a growing count, between samples too", () => {
  const rates = [300_000, 1_000_000, 2_000_000, 3_200_000];
  const samples = [];
  let bytes = 500;
  for (let ms = 0; ms <= 6250; ms += 250) {
    samples.push({ atMs: 9000 + ms, bytes });
    bytes += ((rates[Math.min(3, Math.floor(ms / 1500))] ?? 0) * 250) / 8000;
  }
  for (const [i, step] of stepsOf(samples).entries()) {
    assert.ok(Math.abs(step.received_bps - rates[i]) < rates[i] * 0.02, `${i}: ${step.received_bps}`);
  }
  assert.deepEqual(stepsOf([]), []);
  const lossy = samples.map((one, i) => ({ ...one, received: i * 90, lost: i * 10 }));
  assert.ok(stepsOf(lossy).every((step) => Math.abs(step.loss_ratio - 0.1) < 1e-9));
});

test("loss counts what should have come", () => {
  assert.equal(lossOf({ packetsReceived: 90, packetsLost: 10 }), 0.1);
  assert.equal(lossOf({ packetsReceived: 0, packetsLost: 0 }), 0);
  assert.equal(lossOf({ packetsReceived: 10, packetsLost: -2 }), 0);
});

test("codecs are named once, repair and padding are none", () => {
  const codecs = ["video/VP8", "video/rtx", "video/H264", "video/H264"].map((mimeType) => ({ mimeType }));
  assert.deepEqual(codecNames({ codecs }), ["VP8", "H264"]);
  assert.deepEqual(codecNames(null), []);
});
