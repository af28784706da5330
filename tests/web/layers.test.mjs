import assert from "node:assert/strict";
import { test } from "node:test";

import { layerRows } from "../../viewer_web/core/layer_rows.js";
import { codecOf, encodingsToTry, limitEncodings, preferred } from "../../viewer_web/core/layers.js";
import { publisherDigest, publisherRates } from "../../viewer_web/core/stats_digest.js";

const bps = { h: 2_200_000, m: 400_000, l: 65_000 };

test("three layers, richest first, 12 frames in the lowest", () => {
  const [, three] = encodingsToTry("h264", bps);
  assert.deepEqual(three, [
    { rid: "h", scaleResolutionDownBy: 1, maxBitrate: 2_200_000, maxFramerate: 30 },
    { rid: "m", scaleResolutionDownBy: 2, maxBitrate: 400_000, maxFramerate: 30 },
    { rid: "l", scaleResolutionDownBy: 4, maxBitrate: 65_000, maxFramerate: 12 },
  ]);
});

test("the last thing that is tried is one encoding that every browser knows", () => {
  for (const codec of ["h264", "vp8", "vp9", "av1"]) {
    assert.deepEqual(encodingsToTry(codec, bps).at(-1), [{ maxBitrate: 2_200_000 }]);
  }
});

test("VP9 and AV1 are one encoding with temporal layers", () => {
  const [first] = encodingsToTry("av1", bps);
  assert.deepEqual(first, [{ maxBitrate: 2_200_000, scalabilityMode: "L1T3" }]);
});

test("a codec is taken from the address if we know it", () => {
  assert.equal(codecOf("?codec=VP9"), "vp9");
  assert.equal(codecOf("?codec=h263"), "h264");
  assert.equal(codecOf(""), "h264");
});

test("a server that keeps the first encoding alone gets the whole picture", () => {
  const kept = [{ rid: "l", scaleResolutionDownBy: 4, maxBitrate: 65_000, maxFramerate: 12 }];
  limitEncodings(kept, bps);
  assert.deepEqual(kept, [
    { rid: "l", scaleResolutionDownBy: 1, maxBitrate: 2_200_000, maxFramerate: 30 },
  ]);
});

test("another definition moves every layer's ceiling", () => {
  const [, three] = encodingsToTry("h264", bps);
  limitEncodings(three, { h: 900_000, m: 200_000, l: 60_000 });
  assert.deepEqual(three.map((one) => one.maxBitrate), [900_000, 200_000, 60_000]);
  assert.equal(three[2].scaleResolutionDownBy, 4);
});

test("H.264 goes first, by packetization mode; another codec is offered alone", () => {
  const codecs = [
    { mimeType: "video/AV1" },
    { mimeType: "video/VP8" },
    { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=0" },
    { mimeType: "video/rtx" },
    { mimeType: "video/H264", sdpFmtpLine: "packetization-mode=1" },
  ];
  const order = (codec) => preferred(codecs, codec).map((one) => codecs.indexOf(one));
  assert.deepEqual(order("h264"), [4, 2, 1, 0, 3]);
  assert.deepEqual(order("av1"), [0, 3]);
  assert.deepEqual(order("vp8"), [1, 3]);
  assert.deepEqual(order("vp9"), order("h264"), "this browser has none");
});

const outbound = (rid, width, frames, more = {}) => ({
  type: "outbound-rtp", kind: "video", id: `O${rid}`, rid, frameWidth: width, framesEncoded: frames,
  framesPerSecond: 30, bytesSent: frames * 1000, targetBitrate: 1e5, active: true, ...more,
});

test("layers are told richest first; one that is held back is not the picture", () => {
  const held = { targetBitrate: 0, qualityLimitationReason: "bandwidth" };
  const list = [outbound("l", 320, 100), outbound("m", 640, 90), outbound("h", 1280, 20, held)];
  const digest = publisherDigest(list, 1000);
  assert.deepEqual(digest.layers.map((one) => [one.rid, one.sent]), [["h", false], ["m", true], ["l", true]]);
  assert.equal(digest.frameWidth, 640);
  assert.equal(digest.framesEncoded, 210);
  assert.equal(digest.layers[0].limitation, "bandwidth");
});

test("each layer has its own rate, a new one none yet", () => {
  const before = publisherDigest([outbound("l", 320, 100), outbound("m", 640, 90)], 1000);
  const now = publisherDigest([outbound("l", 320, 110), outbound("m", 640, 90), outbound("h", 1280, 1)], 2000);
  const { layerBps } = publisherRates(now, before);
  assert.deepEqual([...layerBps.entries()], [["Oh", null], ["Om", 0], ["Ol", 80_000]]);
});

test("the worst layer's loss is the uplink's", () => {
  const remote = (fractionLost) => ({ type: "remote-inbound-rtp", kind: "video", fractionLost });
  assert.equal(publisherDigest([remote(0), remote(0.04), remote(0.01)], 0).fractionLost, 0.04);
});

test("what holds a layer back is told in words", () => {
  const layer = (rid, sent, limitation) => ({ id: rid, rid, sent, limitation });
  const rows = [
    [[layer("h", true, "none")], new Map(), [null]],
    [[layer("h", true, "cpu")], new Map(), ["studio.layer.less.cpu"]],
    [[layer("h", false, "bandwidth"), layer("l", true, "bandwidth")], new Map(),
      ["studio.layer.held.bandwidth", "studio.layer.less.bandwidth"]],
    [[layer("h", true, "cpu"), layer("m", true, "none")], new Map([["h", 0], ["m", 9000]]),
      ["studio.layer.held.cpu", null]],
    [[layer("h", true, "none"), layer("l", false, "none")], new Map(), [null, "studio.layer.unsent"]],
    [[layer("h", false, "none"), layer("l", false, "none")], new Map(), [null, null]],
    [[layer(null, true, "other")], new Map(), [null]],
  ];
  for (const [layers, rates, wanted] of rows) {
    assert.deepEqual(layerRows(layers, rates).map((one) => one.noteKey), wanted);
  }
  assert.equal(layerRows([layer(null, true, "none")])[0].nameKey, "studio.layer.one");
});

test("bytes that are repeated to probe the line are no picture", () => {
  const before = publisherDigest([outbound("l", 320, 0)], 0);
  const now = publisherDigest([outbound("l", 320, 15, { bytesSent: 150_000 })], 1000);
  assert.equal(publisherRates(now, before).layerBps.get("Ol"), 100_000);
});

test("a layer that libwebrtc has given up is not sent", () => {
  const gone = { targetBitrate: undefined, framesPerSecond: undefined, frameWidth: undefined };
  assert.equal(publisherDigest([outbound("l", 320, 90, gone)], 0).layers[0].sent, false);
});
