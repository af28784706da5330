/** Figures of a line check from what was counted (docs/line-check.md). No DOM, no network. */

export const STEPS_BPS = Object.freeze([300_000, 1_000_000, 2_000_000, 3_200_000]);
export const STEP_MS = 1500;
/** Part of a step that is looked at: the first sample comes up to a quarter of a second late. */
const FROM_MS = 50;
const SPAN_MS = 1100;
/** UDP and IPv4 of a packet: the browser does not count them. */
export const HEADER_BYTES = 28;
export const TOTAL_MS = STEP_MS * STEPS_BPS.length;

/** The answer with the candidates of one way alone. @param {"udp"|"tcp"} way */
export function onlyWay(sdp, way) {
  const keep = (line) => !line.startsWith("a=candidate:") || line.split(" ")[2]?.toLowerCase() === way;
  return sdp.split(/\r?\n/).filter(keep).join("\r\n");
}

/**
 * Bit/s and loss of each step from samples of growing counts.
 * @param {{atMs: number, bytes: number, received?: number, lost?: number}[]} samples rising; the first is that of the first packet
 */
export function stepsOf(samples) {
  if (samples.length < 2) return [];
  const start = samples[0].atMs;
  const at = (ms, key) => {
    const after = samples.findIndex((one) => one.atMs - start >= ms);
    if (after < 0) return samples.at(-1)[key] ?? 0;
    if (after === 0) return samples[0][key] ?? 0;
    const [a, b] = [samples[after - 1], samples[after]];
    const share = (start + ms - a.atMs) / (b.atMs - a.atMs);
    return (a[key] ?? 0) + ((b[key] ?? 0) - (a[key] ?? 0)) * share;
  };
  const came = (ms, key) => Math.max(0, at(ms + SPAN_MS, key) - at(ms, key));
  const loss = (ms) =>
    lossOf({ packetsReceived: came(ms, "received"), packetsLost: came(ms, "lost") });
  return STEPS_BPS.map((bps, i) => ({
    bps,
    received_bps: Math.round((came(i * STEP_MS + FROM_MS, "bytes") * 8000) / SPAN_MS),
    loss_ratio: loss(i * STEP_MS + FROM_MS),
  }));
}

/** Share of packets lost. */
export function lossOf({ packetsReceived = 0, packetsLost = 0 }) {
  const sent = packetsReceived + Math.max(0, packetsLost);
  return sent > 0 ? Math.max(0, packetsLost) / sent : 0;
}

/** Codecs of a receiver's capabilities, upper case, each once. */
export function codecNames(capabilities) {
  const names = (capabilities?.codecs ?? []).map((one) => one.mimeType.split("/")[1].toUpperCase());
  const known = new Set(["H264", "VP8", "VP9", "AV1", "H265"]);
  return [...new Set(names)].filter((name) => known.has(name));
}
