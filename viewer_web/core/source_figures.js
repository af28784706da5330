/** The source's own state out of the overview's `stream` (hub/telemetry/views.py). */

const AIR = new Set(["on_air", "silent"]);

/**
 * @returns {{air: "on_air"|"silent"|"off", title: {vi?: string, en?: string},
 *   publisher: string|null, bitrateBps: number|null, fps: number|null, rttMs: number|null,
 *   lossRatio: number|null, keyframeGapS: number|null, codecs: string, findings: object[]}}
 */
export function sourceOf(stream) {
  const one = stream ?? {};
  const publishers = one.publishers ?? [];
  const publisher = publishers.find((each) => each.on_air) ?? publishers[0] ?? {};
  const gapMs = publisher.keyframe_gap_ms ?? null;
  return {
    air: AIR.has(one.state) ? one.state : "off",
    title: { vi: one.title, en: one.title_en ?? one.title },
    publisher: publisher.subject ?? null,
    bitrateBps: publisher.bitrate_bps ?? null,
    fps: publisher.fps ?? null,
    rttMs: publisher.rtt_ms ?? null,
    lossRatio: one.uplink_loss_ratio ?? null,
    keyframeGapS: gapMs === null ? null : gapMs / 1000,
    // Layers of one picture share their codec.
    codecs: [...new Set((publisher.sources ?? []).map((each) => each.codec))].join(" + "),
    findings: publisher.findings ?? [],
  };
}
