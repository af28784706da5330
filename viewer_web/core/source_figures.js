/** The source's own state out of the overview's `stream`, whichever of its fields are there. */

const pick = (...values) => values.find((value) => value !== undefined && value !== null) ?? null;

/**
 * @returns {{air: "on_air"|"silent"|"off", publisher: string|null, bitrateBps: number|null,
 *   fps: number|null, keyframeGapS: number|null, codecs: string, findings: object[]}}
 */
export function sourceOf(stream) {
  const one = stream ?? {};
  const publishers = one.publishers ?? [];
  const publisher = one.publisher ?? publishers.find((each) => each.on_air) ?? publishers[0] ?? {};
  const sources = publisher.sources ?? [];
  const video = sources.find((each) => each.kind === "video") ?? {};
  const total = sources.reduce((sum, each) => sum + (each.bitrate_bps ?? 0), 0);
  const gapMs = pick(one.keyframe_gap_ms, publisher.keyframe_gap_ms);
  return {
    air: airOf(one),
    publisher: typeof publisher === "string" ? publisher : pick(publisher.subject, publisher.name),
    bitrateBps: pick(one.ingest_bitrate_bps, publisher.bitrate_bps, sources.length ? total : null),
    fps: pick(one.fps, publisher.fps, video.fps),
    keyframeGapS: pick(one.keyframe_gap_s, publisher.keyframe_gap_s, gapMs === null ? null : gapMs / 1000),
    codecs: pick(one.codecs?.join?.(" + "), sources.map((each) => each.codec).join(" + ")) ?? "",
    findings: pick(one.findings, publisher.findings) ?? [],
  };
}

function airOf(stream) {
  const said = String(stream.state ?? "").toLowerCase();
  if (said === "silent") return "silent";
  if (said === "on_air" || said === "active") return "on_air";
  if (said) return "off";
  return stream.on_air ? "on_air" : "off";
}
