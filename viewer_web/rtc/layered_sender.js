/** The studio's picture as a transceiver with as many layers as the browser lets us send. */

import { encodingsToTry, limitEncodings, preferred } from "../core/layers.js";

/**
 * @param {RTCPeerConnection} peer
 * @param {MediaStreamTrack|"video"} track
 * @param {object} options
 * @param {MediaStream} options.stream
 * @param {string} options.codec of `codecOf`
 * @param {{h: number, m: number, l: number}} options.layersBps
 * @param {RTCRtpCodec[]} options.codecs what the browser can encode
 * @returns {RTCRtpTransceiver}
 */
export function addPicture(peer, track, { stream, codec, layersBps, codecs }) {
  const transceiver = addTransceiver(peer, track, stream, encodingsToTry(codec, layersBps));
  if (codecs.length > 0) transceiver.setCodecPreferences?.(preferred(codecs, codec));
  return transceiver;
}

function addTransceiver(peer, track, stream, tries) {
  const [sendEncodings, ...rest] = tries;
  try {
    return peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings });
  } catch (error) {
    // Several encodings or a scalability mode are more than this browser does.
    if (rest.length === 0) throw error;
    return addTransceiver(peer, track, stream, rest);
  }
}

/** Bitrate ceilings of every sender, and the voice before the picture. */
export async function limitSenders(peer, { layersBps, maxAudioBps }) {
  for (const sender of peer.getSenders()) {
    const parameters = sender.getParameters();
    const { encodings } = parameters;
    if (!encodings?.length) continue;
    const { receiver } = peer.getTransceivers().find((one) => one.sender === sender);
    const voice = receiver.track.kind === "audio";
    if (voice) encodings[0].maxBitrate = maxAudioBps;
    else limitEncodings(encodings, layersBps);
    // Of the sender as a whole: browsers refuse it on any encoding but the first.
    encodings[0].networkPriority = voice ? "high" : "medium";
    await sender.setParameters(parameters);
  }
}
