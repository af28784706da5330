/**
 * What an RTCStatsReport says, small: one flat digest for the page, the link watch and telemetry.
 * Counters keep their W3C webrtc-stats names; rates are taken between two digests.
 */

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
    nackCount: both("nackCount"),
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
  const video = largest(list.filter((one) => one.type === "outbound-rtp" && one.kind === "video"));
  const audio = find(list, "outbound-rtp", "audio") ?? {};
  const remote = list.filter((one) => one.type === "remote-inbound-rtp");
  const remoteVideo = remote.find((one) => one.kind === "video") ?? {};
  const pair = selectedPair(list) ?? {};
  return {
    atMs: nowMs,
    transportPackets: number(find(list, "transport")?.packetsReceived),
    bytesSent: sum(list, "bytesSent"),
    packetsSent: sum(list, "packetsSent"),
    audioPacketsSent: audio.packetsSent ?? 0,
    framesEncoded: video.framesEncoded ?? 0,
    framesPerSecond: number(video.framesPerSecond),
    frameWidth: number(video.frameWidth),
    frameHeight: number(video.frameHeight),
    qualityLimitationReason: video.qualityLimitationReason ?? null,
    encoder: video.encoderImplementation ?? null,
    targetBitrate: number(video.targetBitrate),
    availableBps: number(pair.availableOutgoingBitrate),
    roundTripTime: number(remoteVideo.roundTripTime) ?? number(pair.currentRoundTripTime),
    fractionLost: number(remoteVideo.fractionLost),
    reportsReceived: remote.reduce((n, one) => n + (one.roundTripTimeMeasurements ?? 0), 0),
    responsesReceived: pair.responsesReceived ?? 0,
  };
}

function sum(list, name) {
  return list
    .filter((one) => one.type === "outbound-rtp")
    .reduce((total, one) => total + (one[name] ?? 0), 0);
}

function largest(streams) {
  return streams.reduce((best, one) => ((one.frameWidth ?? 0) >= (best.frameWidth ?? 0) ? one : best), {});
}

export function publisherRates(now, before) {
  const seconds = (now.atMs - before.atMs) / 1000;
  return { bitrateBps: seconds > 0 ? (step(now, before, "bytesSent") * 8) / seconds : null };
}

/** What the page reports about itself (POST /api/viewer/telemetry): W3C names, no identity. */
export function telemetry(digest, state, sessionId) {
  const { atMs: _at, transportPackets: _t, videoPackets: _v, audioPackets: _a, audioLevel: _l, ...figures } = digest;
  return { session_id: sessionId, state, ...figures };
}
