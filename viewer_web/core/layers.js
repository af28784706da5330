/**
 * The layers that the studio sends (docs/bad-networks.md), as `sendEncodings` of a transceiver.
 *
 * Richest first: libwebrtc gives up the last layers of a picture smaller than 960×540 (the third,
 * below 480×270 the second too), and a server without simulcast gets the first alone.
 */

export const RIDS = Object.freeze(["h", "m", "l"]);
const SCALE = Object.freeze({ h: 1, m: 2, l: 4 });
/** Told for every layer: Chromium takes one layer's limit for those that have none. */
const FPS = Object.freeze({ h: 30, m: 30, l: 12 });
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
  // The same for all: Chromium's H.264 gives every layer what one of them asks for.
  const thinned = three.map((each) => ({ ...each, scalabilityMode: TEMPORAL_LAYERS }));
  return [thinned, three, one];
}

function encodingOf(rid, layersBps) {
  const limits = { maxBitrate: layersBps[rid], maxFramerate: FPS[rid] };
  return { rid, scaleResolutionDownBy: SCALE[rid], ...limits };
}

/**
 * Ceilings for encodings that are in use. One alone is the whole picture, whatever its name.
 * @param {RTCRtpEncodingParameters[]} encodings changed in place
 */
export function limitEncodings(encodings, layersBps) {
  if (encodings.length === 1) {
    const whole = { maxBitrate: layersBps.h, maxFramerate: FPS.h, scaleResolutionDownBy: 1 };
    Object.assign(encodings[0], whole);
    return;
  }
  for (const encoding of encodings) encoding.maxBitrate = layersBps[encoding.rid] ?? layersBps.h;
}

/**
 * What is offered: H.264 first, which every commune's computer decodes, the others after it; of
 * another codec that is asked for, that one alone, since servers put H.264 before it.
 */
export function preferred(codecs, codec) {
  const name = ({ mimeType }) => mimeType.split("/")[1].toLowerCase();
  const rank = (one) => {
    if (name(one) === "h264") return /packetization-mode=1/.test(one.sdpFmtpLine ?? "") ? 0 : 1;
    return name(one) === "vp8" ? 2 : 3;
  };
  const alone = codecs.filter((one) => name(one) === codec || !CODECS.has(name(one)));
  const has = codecs.some((one) => name(one) === codec);
  return codec !== "h264" && has ? alone : [...codecs].sort((a, b) => rank(a) - rank(b));
}
