import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../viewer_web/core/format.js";
import { lineWord } from "../../viewer_web/core/line_word.js";
import { PublishWatch } from "../../viewer_web/core/publish_watch.js";
import {
  publisherDigest,
  publisherRates,
  telemetry,
  viewerDigest,
  viewerRates,
} from "../../viewer_web/core/stats_digest.js";
import { levelOf } from "../../viewer_web/rtc/level_meter.js";

const inbound = (overrides = {}) => [
  { type: "transport", id: "T", selectedCandidatePairId: "P2" },
  { type: "candidate-pair", id: "P1", nominated: true, state: "succeeded", currentRoundTripTime: 9 },
  { type: "candidate-pair", id: "P2", currentRoundTripTime: 0.02 },
  { type: "inbound-rtp", kind: "audio", packetsReceived: 50, packetsLost: 0, bytesReceived: 4000,
    concealedSamples: 0, totalSamplesReceived: 48000, audioLevel: 0.3 },
  { type: "inbound-rtp", kind: "video", packetsReceived: 300, packetsLost: 3, bytesReceived: 300000,
    framesDecoded: 30, framesPerSecond: 30, frameWidth: 1280, frameHeight: 720, jitter: 0.004,
    jitterBufferDelay: 1, jitterBufferEmittedCount: 30, freezeCount: 1, ...overrides },
];

test("a viewer's digest adds both kinds and takes the pair that carries media", () => {
  const digest = viewerDigest(inbound(), 1000);
  assert.equal(digest.packetsReceived, 350);
  assert.equal(digest.packetsLost, 3);
  assert.equal(digest.roundTripTime, 0.02);
  assert.equal(digest.frameWidth, 1280);
  assert.equal(digest.freezeCount, 1);
});

test("rates between two digests", () => {
  const before = viewerDigest(inbound(), 1000);
  const later = inbound({ packetsReceived: 600, packetsLost: 6, bytesReceived: 600000,
    jitterBufferDelay: 4, jitterBufferEmittedCount: 60 });
  const rates = viewerRates(viewerDigest(later, 2000), before);
  assert.equal(rates.bitrateBps, 2_400_000);
  assert.equal(rates.lossRatio, 3 / 303);
  assert.equal(rates.bufferMs, 100);
  assert.equal(viewerRates(before, before).bitrateBps, null);
});

test("an empty report is a digest of zeros and unknowns", () => {
  const digest = viewerDigest([], 0);
  assert.equal(digest.packetsReceived, 0);
  assert.equal(digest.roundTripTime, null);
});

test("telemetry carries W3C names, the state and the session", () => {
  const report = telemetry(viewerDigest(inbound(), 1000), "playing", "abc");
  const names = ["framesPerSecond", "freezeCount", "totalFreezesDuration", "jitterBufferDelay",
    "framesDropped", "frameWidth", "frameHeight", "packetsLost", "packetsReceived", "jitter",
    "concealedSamples", "totalSamplesReceived", "bytesReceived", "roundTripTime"];
  for (const name of names) assert.ok(name in report, name);
  assert.deepEqual([report.state, report.session_id], ["playing", "abc"]);
  assert.ok(!("atMs" in report));
});

test("a publisher's digest sums what is sent and reads what is reported back", () => {
  const list = [
    { type: "outbound-rtp", kind: "audio", bytesSent: 1000, packetsSent: 50 },
    { type: "outbound-rtp", kind: "video", bytesSent: 9000, packetsSent: 90, framesEncoded: 30,
      qualityLimitationReason: "cpu", frameWidth: 1280 },
    { type: "remote-inbound-rtp", kind: "video", roundTripTime: 0.03, fractionLost: 0.01,
      roundTripTimeMeasurements: 4 },
  ];
  const digest = publisherDigest(list, 1000);
  assert.equal(digest.bytesSent, 10_000);
  assert.equal(digest.qualityLimitationReason, "cpu");
  assert.equal(digest.fractionLost, 0.01);
  assert.equal(digest.reportsReceived, 4);
  const rates = publisherRates({ ...digest, atMs: 2000, bytesSent: 260_000 }, digest);
  assert.equal(rates.bitrateBps, 2_000_000);
});

test("the viewer's line in one word", () => {
  const digest = viewerDigest(inbound(), 1000);
  const rates = { bitrateBps: 2e6, lossRatio: 0, concealedRatio: 0 };
  assert.equal(lineWord(digest, rates), "good");
  assert.equal(lineWord(digest, { ...rates, lossRatio: 0.02 }), "fair");
  assert.equal(lineWord(digest, { ...rates, lossRatio: 0.08 }), "bad");
  assert.equal(lineWord(digest, { ...rates, bitrateBps: 0 }), "none");
  const voice = { ...digest, framesDecoded: 0, videoPackets: 0 };
  assert.equal(lineWord(voice, rates), "voice");
});

test("a publisher's line is dead when nothing echoes, its camera when nothing is encoded", () => {
  const watch = new PublishWatch();
  const at = (seconds, echoes, frames) =>
    watch.sample({ echoes, frames, hasVideo: true }, seconds * 1000);
  assert.equal(at(0, 1, 1), "flowing");
  assert.equal(at(2, 1, 60), "flowing");
  assert.equal(at(4, 1, 120), "no_echo");
  assert.equal(at(5, 2, 120), "flowing");
  assert.equal(at(8, 5, 120), "no_frames");
  assert.equal(at(60, 5, 120), "flowing", "the computer slept");
});

test("figures as people read them", () => {
  const rows = [
    [format.bitrate(2_540_000), "2,5 Mbit/s"],
    [format.bitrate(2_540_000, "en"), "2.5 Mbit/s"],
    [format.bitrate(640_400), "640 kbit/s"],
    [format.bitrate(null), "–"],
    [format.percent(0), "0,0 %"],
    [format.percent(0.0004), "< 0,1 %"],
    [format.percent(0.123), "12 %"],
    [format.millis(23.6), "24 ms"],
    [format.clock(3849), "1:04:09"],
    [format.clock(249), "4:09"],
    [format.size(1280, 720), "1280×720"],
    [format.size(null, null), "–"],
    [format.timeOfDay("not a date"), "–"],
    [format.plain("Đường An"), "duong an"],
  ];
  for (const [got, wanted] of rows) assert.equal(got, wanted);
});

test("microphone levels in dBFS", () => {
  assert.deepEqual(levelOf(new Float32Array(100)), { rms: -60, peak: -60 });
  const { rms, peak } = levelOf(Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i)));
  assert.ok(Math.abs(rms + 3) < 0.1 && Math.abs(peak) < 0.1);
});
