import assert from "node:assert/strict";
import { test } from "node:test";

import { gradeOf } from "../../viewer_web/core/grade.js";
import { applyEvent, rowOf, rowsToShow, totalsOf } from "../../viewer_web/core/overview.js";
import { layerKey, lineKey, pathKey, pinOf } from "../../viewer_web/core/session_words.js";
import { sourceOf } from "../../viewer_web/core/source_figures.js";
import { studioStatus } from "../../viewer_web/core/studio_status.js";

const session = (overrides) => ({ id: "s", bitrate_bps: 2e6, loss_ratio: 0, rtt_ms: 20, fps: 30,
  joined_at: 100, ...overrides });
const COMMUNES = [
  { slug: "an-phu", name: "An Phú", grade: "good", connected: true, sessions: [session({})] },
  { slug: "duong-an", name: "Đường An", grade: "bad", connected: true,
    sessions: [session({ loss_ratio: 0.1, bitrate_bps: 5e5, joined_at: 90 }), session({ fps: 12 })] },
  { slug: "ke-sat", name: "Kẻ Sặt", grade: "absent", connected: false, sessions: [] },
  { slug: "ai-quoc", name: "Ái Quốc", grade: "fair", connected: true, sessions: [session({})] },
];
const rows = COMMUNES.map(rowOf);
const slugs = (choice) => rowsToShow(rows, choice).map((row) => row.slug);

test("a row shows the worst of its screens", () => {
  const row = rows[1];
  assert.deepEqual([row.lossRatio, row.bitrateBps, row.fps, row.since], [0.1, 5e5, 12, 90]);
  assert.equal(rows[2].bitrateBps, null);
});

test("trouble first, names in Vietnamese order", () => {
  assert.deepEqual(slugs({}), ["duong-an", "ai-quoc", "an-phu", "ke-sat"]);
  assert.deepEqual(slugs({ sort: "name" }), ["ai-quoc", "an-phu", "duong-an", "ke-sat"]);
  assert.deepEqual(slugs({ sort: "loss" })[0], "duong-an");
  assert.deepEqual(slugs({ sort: "bitrate" })[0], "duong-an");
});

test("filters and search without accents", () => {
  assert.deepEqual(slugs({ filter: "problems" }), ["duong-an", "ai-quoc"]);
  assert.deepEqual(slugs({ filter: "absent" }), ["ke-sat"]);
  assert.deepEqual(slugs({ search: "duong" }), ["duong-an"]);
  assert.deepEqual(slugs({ search: "Ái" }), ["ai-quoc"]);
  assert.deepEqual(slugs({ search: "zzz" }), []);
});

test("totals", () => {
  assert.deepEqual(totalsOf(rows), { communes: 4, connected: 3, alarms: 1, viewers: 4, egressBps: 6.5e6 });
});

test("grades of the hub, and none at all", () => {
  assert.equal(gradeOf({ grade: "good" }), "good");
  assert.equal(gradeOf({ grade: null, connected: true }), "unknown");
  assert.equal(gradeOf({}), "absent");
});

test("events change the overview", () => {
  const first = applyEvent(null, { name: "overview", data: { stream: {}, communes: COMMUNES } });
  const second = applyEvent(first, { name: "commune", data: { slug: "ke-sat", grade: "good" } });
  assert.equal(second.communes[2].grade, "good");
  assert.equal(second.communes[2].name, "Kẻ Sặt");
  assert.equal(first.communes[2].grade, "absent");
  const third = applyEvent(second, { name: "stream", data: { state: "on_air" } });
  assert.equal(sourceOf(third.stream).air, "on_air");
  assert.equal(applyEvent(third, { name: "unheard-of", data: 1 }), third);
  assert.equal(applyEvent(null, { name: "commune", data: {} }), null);
});

test("the source's own state, and none", () => {
  const source = sourceOf({ state: "on_air", title: "Kỳ họp", publishers: [
    { on_air: false, subject: "backup" },
    { on_air: true, subject: "le-dai-hanh", bitrate_bps: 2.06e6, fps: 30, keyframe_gap_ms: 6000,
      findings: [{ code: "b_frames" }], sources: [{ codec: "H264" }, { codec: "H264" }, { codec: "OPUS" }] },
  ] });
  assert.deepEqual([source.publisher, source.bitrateBps, source.keyframeGapS, source.codecs],
    ["le-dai-hanh", 2.06e6, 6, "H264 + OPUS"]);
  assert.equal(source.findings.length, 1);
  assert.equal(source.title.en, "Kỳ họp");
  const none = sourceOf(null);
  assert.deepEqual([none.air, none.publisher, none.codecs, none.findings], ["off", null, "", []]);
});

test("the studio's status, and none", () => {
  const status = studioStatus({ title: "Kỳ họp", viewers: 3, communes_watching: 2, findings: [] });
  assert.deepEqual([status.viewers, status.communes, status.title.en], [3, 2, "Kỳ họp"]);
  assert.equal(studioStatus(null).viewers, null);
});

test("a commune's relays are named once each", () => {
  const sessions = [{ relay: "relay-2" }, { relay: "relay-1" }, { relay: "relay-2" }, { relay: "" }, {}];
  assert.deepEqual(rowOf({ slug: "an-phu", sessions }).relays, ["relay-1", "relay-2"]);
  assert.deepEqual(rowOf({ slug: "an-phu" }).relays, []);
});

test("a row's picture is that of its poorest screen; sound alone is poorest of all", () => {
  const wide = { id: "a", width: 1280, height: 720, concealed_ratio: 0.001 };
  const small = { id: "b", width: 320, height: 180, concealed_ratio: 0.02 };
  const voice = { id: "c", width: 1280, height: 720, line_state: "audio-only" };
  const row = (...sessions) => rowOf({ slug: "an-phu", sessions });
  assert.equal(row(wide, small).poorest, small);
  assert.equal(row(small, voice).poorest, voice);
  assert.equal(row({ id: "silent" }, wide).poorest, wide);
  assert.equal(row().poorest, null);
  assert.equal(row(wide, small).concealedRatio, 0.02);
});

test("a screen's line, path and layer in words", () => {
  const rows = [
    [{}, null, null, null],
    [{ line_state: "full", line_reason: "publisher", transport: "udp", page_transport: "udp", layer: "h" },
      "operator.line.full", "figure.path.udp", "studio.layer.h"],
    [{ line_state: "reduced", line_reason: "line", transport: "udp", page_transport: "relay", layer: "m" },
      "operator.line.reduced", "figure.path.relay", "studio.layer.m"],
    [{ line_state: "audio-only", line_reason: "line", transport: "tcp", layer: null },
      "operator.line.audio-only", "figure.path.tcp", null],
    [{ line_state: "full", line_reason: "size", page_transport: "tcp", layer: "q" },
      "operator.line.size", "figure.path.tcp", "q"],
    [{ line_state: "odd", transport: "pigeon" }, null, null, null],
  ];
  for (const [one, line, path, layer] of rows) {
    assert.deepEqual([lineKey(one), pathKey(one), layerKey(one)], [line, path, layer]);
  }
});

test("the operator's choice is told by the screens that have it", () => {
  assert.equal(pinOf([{ line_reason: "line", layer: "l" }, { line_reason: "pin", layer: "m" }]), "m");
  assert.equal(pinOf([{ line_reason: "line", layer: "l" }]), "");
  assert.equal(pinOf([]), "");
});
