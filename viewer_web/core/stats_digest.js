/**
 * What an RTCStatsReport says, small: one flat digest for the page, the link watch and telemetry.
 * Counters keep their W3C webrtc-stats names; rates are taken between two digests.
 */

import { RIDS } from "./layers.js";

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Array of stats objects of an RTCStatsReport (or any iterable with values()). */
export const statsList = (report) => [...report.values()];

const find = (list, type, kind) =>
  list.find((one) => one.type === type && (kind === undefined || one.kind === kind));

/** The candidate pair that carries media, or undefined. */
export function selectedPair(list) {
  const transport = find(list, "transport");
  const pairs = list.filter((one) => one.type === "candidate-pair");
  return (
    pairs.find((one) => one.id === transport?.selectedCandidatePairId) ??
    pairs.find((one) => one.selected || (one.nominated && one.state === "succeeded"))
  );
}

/**
 * How the media comes: "relay" through TURN, else the protocol of the path itself.
 * @returns {"udp"|"tcp"|"relay"|null}
 */
export function transportOf(list) {
  const local = list.find((one) => one.id === selectedPair(list)?.localCandidateId);
  if (local?.candidateType === "relay") return "relay";
  return ["udp", "tcp"].includes(local?.protocol) ? local.protocol : null;
}

/** Receiving side. Absent figures are null; counters start at 0. */
export function viewerDigest(list, nowMs) {
  const video = find(list, "inbound-rtp", "video") ?? {};
  const audio = find(list, "inbound-rtp", "audio") ?? {};
  const both = (name) => (video[name] ?? 0) + (audio[name] ?? 0);
  return {
    atMs: nowMs,
    transportPackets: number(find(list, "transport")?.packetsReceived),
    packetsReceived: both("packetsReceived"),
    videoPackets: video.packetsReceived ?? 0,
    audioPackets: audio.packetsReceived ?? 0,
    videoBytes: video.bytesReceived ?? 0,
    packetsLost: both("packetsLost"),
    bytesReceived: both("bytesReceived"),
    jitter: number(video.jitter) ?? number(audio.jitter),
    framesDecoded: video.framesDecoded ?? 0,
    framesDropped: video.framesDropped ?? 0,
    keyFramesDecoded: video.keyFramesDecoded ?? 0,
    framesPerSecond: number(video.framesPerSecond),
    freezeCount: video.freezeCount ?? 0,
    totalFreezesDuration: video.totalFreezesDuration ?? 0,
    jitterBufferDelay: video.jitterBufferDelay ?? 0,
    jitterBufferEmittedCount: video.jitterBufferEmittedCount ?? 0,
    frameWidth: number(video.frameWidth),
    frameHeight: number(video.frameHeight),
    concealedSamples: audio.concealedSamples ?? 0,
    totalSamplesReceived: audio.totalSamplesReceived ?? 0,
    audioLevel: number(audio.audioLevel),
    totalAudioEnergy: audio.totalAudioEnergy ?? 0,
    roundTripTime: number(selectedPair(list)?.currentRoundTripTime),
    availableIncomingBitrate: number(selectedPair(list)?.availableIncomingBitrate),
    transport: transportOf(list),
    nackCount: both("nackCount"),
    audioNackCount: audio.nackCount ?? 0,
    pliCount: video.pliCount ?? 0,
  };
}

const step = (now, before, name) => Math.max(0, now[name] - before[name]);

/** Rates between two viewer digests, null where nothing moved that could tell. */
export function viewerRates(now, before) {
  const seconds = (now.atMs - before.atMs) / 1000;
  if (seconds <= 0) return { bitrateBps: null, lossRatio: null, bufferMs: null, concealedRatio: null };
  const received = step(now, before, "packetsReceived");
  const lost = step(now, before, "packetsLost");
  const emitted = step(now, before, "jitterBufferEmittedCount");
  const samples = step(now, before, "totalSamplesReceived");
  return {
    bitrateBps: (step(now, before, "bytesReceived") * 8) / seconds,
    lossRatio: received + lost > 0 ? lost / (received + lost) : null,
    bufferMs: emitted > 0 ? (step(now, before, "jitterBufferDelay") / emitted) * 1000 : null,
    concealedRatio: samples > 0 ? step(now, before, "concealedSamples") / samples : null,
  };
}

/** Sending side. The remote-inbound figures are what the server reports back. */
export function publisherDigest(list, nowMs) {
  const videos = list.filter((one) => one.type === "outbound-rtp" && one.kind === "video");
  const layers = layersOf(videos, list);
  const video = videos.find((one) => one.id === layers.find((layer) => layer.sent)?.id) ?? videos[0] ?? {};
  const audio = find(list, "outbound-rtp", "audio") ?? {};
  const remote = list.filter((one) => one.type === "remote-inbound-rtp");
  const remoteVideo = remote.filter((one) => one.kind === "video");
  const pair = selectedPair(list) ?? {};
  return {
    atMs: nowMs,
    transportPackets: number(find(list, "transport")?.packetsReceived),
    bytesSent: sum(list, "bytesSent"),
    packetsSent: sum(list, "packetsSent"),
    audioPacketsSent: audio.packetsSent ?? 0,
    // Of all layers: the line may hold any of them back while the camera works.
    framesEncoded: videos.reduce((total, one) => total + (one.framesEncoded ?? 0), 0),
    framesPerSecond: number(video.framesPerSecond),
    frameWidth: number(video.frameWidth),
    frameHeight: number(video.frameHeight),
    qualityLimitationReason: video.qualityLimitationReason ?? null,
    encoder: video.encoderImplementation ?? null,
    targetBitrate: number(video.targetBitrate),
    availableBps: number(pair.availableOutgoingBitrate),
    roundTripTime: worst(remoteVideo, "roundTripTime") ?? number(pair.currentRoundTripTime),
    fractionLost: worst(remoteVideo, "fractionLost"),
    reportsReceived: remote.reduce((n, one) => n + (one.roundTripTimeMeasurements ?? 0), 0),
    responsesReceived: pair.responsesReceived ?? 0,
    layers,
  };
}

/**
 * Encodings of the picture, richest first. `sent`: the browser gives it bits now.
 * @returns {{id: string, rid: string|null, codec: string|null, mode: string|null, sent: boolean,
 *   width: number|null, height: number|null, fps: number|null, bytesSent: number,
 *   targetBps: number|null, limitation: string|null}[]}
 */
function layersOf(videos, list) {
  const codec = ({ codecId }) => list.find((one) => one.id === codecId)?.mimeType?.split("/")[1];
  const layers = videos.map((one) => ({
    id: one.id,
    rid: one.rid ?? null,
    codec: codec(one)?.toLowerCase() ?? null,
    mode: one.scalabilityMode ?? null,
    sent: one.active !== false && (number(one.targetBitrate) ?? one.framesPerSecond ?? 0) > 0,
    width: number(one.frameWidth),
    height: number(one.frameHeight),
    fps: number(one.framesPerSecond),
    bytesSent: one.bytesSent ?? 0,
    targetBps: number(one.targetBitrate),
    limitation: one.qualityLimitationReason ?? null,
  }));
  const rank = (layer) => RIDS.indexOf(layer.rid);
  return layers.sort((a, b) => rank(a) - rank(b) || (b.width ?? 0) - (a.width ?? 0));
}

/**
 * Bit/s of each layer between two publisher digests, by its id; null where it is new. Chromium
 * counts packets that it repeats to probe the line, of any layer: no picture exceeds its target.
 */
export function layerRates(now, before) {
  const seconds = (now.atMs - before.atMs) / 1000;
  const earlier = new Map(before.layers.map((layer) => [layer.id, layer.bytesSent]));
  const rate = ({ id, bytesSent, targetBps }) => {
    if (seconds <= 0 || !earlier.has(id)) return null;
    const bps = (Math.max(0, bytesSent - earlier.get(id)) * 8) / seconds;
    return targetBps > 0 ? Math.min(bps, targetBps) : bps;
  };
  return new Map(now.layers.map((layer) => [layer.id, rate(layer)]));
}

function sum(list, name) {
  return list
    .filter((one) => one.type === "outbound-rtp")
    .reduce((total, one) => total + (one[name] ?? 0), 0);
}

function worst(list, name) {
  const values = list.map((one) => number(one[name])).filter((value) => value !== null);
  return values.length > 0 ? Math.max(...values) : null;
}

export function publisherRates(now, before) {
  const seconds = (now.atMs - before.atMs) / 1000;
  const bitrateBps = seconds > 0 ? (step(now, before, "bytesSent") * 8) / seconds : null;
  return { bitrateBps, layerBps: layerRates(now, before) };
}

const OWN = new Set(["atMs", "transportPackets", "videoPackets", "audioPackets", "videoBytes", "audioLevel"]);

/**
 * What the page reports about itself (POST /api/viewer/telemetry): W3C names, no identity.
 * @param {import("./line_notice.js").Notice} line what it tells of its line
 */
export function telemetry(digest, state, sessionId, line) {
  const figures = Object.fromEntries(Object.entries(digest).filter(([name]) => !OWN.has(name)));
  return { session_id: sessionId, state, line, ...figures };
}
