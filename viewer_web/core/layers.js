/**
 * The layers that the studio sends (docs/bad-networks.md), as `sendEncodings` of a transceiver.
 *
 * Smallest first: libwebrtc gives bits to the layers in this order, and lets the last one alone
 * rise to its ceiling; the others stop at three quarters of theirs.
 */

export const RIDS = Object.freeze(["l", "m", "h"]);
const SCALE = Object.freeze({ h: 1, m: 2, l: 4 });
const LOWEST_FPS = 15;
/** Frames that relays may leave out before the picture goes (docs/bad-networks.md). */
const TEMPORAL_LAYERS = "L1T3";
/** Codecs with temporal layers of their own, sent as one encoding. */
const SCALABLE = new Set(["vp9", "av1"]);
const CODECS = new Set(["h264", "vp8", ...SCALABLE]);

/** Codec that the page's address asks for (`?codec=vp9`), H.264 if it asks for none that we know. */
export function codecOf(search) {
  const asked = new URLSearchParams(search).get("codec")?.toLowerCase();
  return CODECS.has(asked) ? asked : "h264";
}

/**
 * What to try in turn: a browser that does not know a thing throws, or takes no notice.
 * @param {string} codec of `codecOf`
 * @param {{h: number, m: number, l: number}} layersBps ceilings
 * @returns {RTCRtpEncodingParameters[][]} best first
 */
export function encodingsToTry(codec, layersBps) {
  const one = [{ maxBitrate: layersBps.h }];
  const scalable = [{ ...one[0], scalabilityMode: TEMPORAL_LAYERS }];
  if (SCALABLE.has(codec)) return [scalable, one];
  const three = RIDS.map((rid) => encodingOf(rid, layersBps));
  const thinned = three.map((each) =>
    each.rid === "l" ? { ...each, scalabilityMode: TEMPORAL_LAYERS } : each,
  );
  return [thinned, three, one];
}

function encodingOf(rid, layersBps) {
  const encoding = { rid, scaleResolutionDownBy: SCALE[rid], maxBitrate: layersBps[rid] };
  return rid === "l" ? { ...encoding, maxFramerate: LOWEST_FPS } : encoding;
}

/**
 * Ceilings for encodings that are in use. One alone is the whole picture, whatever its name: a
 * server without simulcast keeps the first that was offered.
 * @param {RTCRtpEncodingParameters[]} encodings changed in place
 */
export function limitEncodings(encodings, layersBps) {
  if (encodings.length === 1) {
    Object.assign(encodings[0], { maxBitrate: layersBps.h, scaleResolutionDownBy: 1 });
    delete encodings[0].maxFramerate;
    return;
  }
  for (const encoding of encodings) encoding.maxBitrate = layersBps[encoding.rid] ?? layersBps.h;
}

/** `codecs` with the wanted one first, then what every commune's computer decodes. */
export function preferred(codecs, codec) {
  const rank = ({ mimeType, sdpFmtpLine = "" }) => {
    const name = mimeType.split("/")[1].toLowerCase();
    if (name === codec) return name === "h264" && !/packetization-mode=1/.test(sdpFmtpLine) ? 1 : 0;
    return { h264: 2, vp8: 3 }[name] ?? 4;
  };
  return [...codecs].sort((a, b) => rank(a) - rank(b));
}
