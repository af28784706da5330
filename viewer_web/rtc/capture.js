/** Camera, microphone and screen of the studio, and what to say when the browser refuses them. */

export const RESOLUTIONS = Object.freeze({
  "1080p": { width: 1920, height: 1080, layersBps: { h: 3_200_000, m: 600_000, l: 120_000 } },
  "720p": { width: 1280, height: 720, layersBps: { h: 2_200_000, m: 400_000, l: 65_000 } },
  "480p": { width: 854, height: 480, layersBps: { h: 900_000, m: 160_000, l: 60_000 } },
});
export const MAX_AUDIO_BPS = 32_000;
const FRAME_RATE = 30;

/** Key of the sentence for a getUserMedia failure. */
export function captureProblem(error) {
  const keys = {
    NotAllowedError: "studio.capture.not_allowed",
    SecurityError: "studio.capture.not_allowed",
    NotFoundError: "studio.capture.not_found",
    OverconstrainedError: "studio.capture.not_found",
    NotReadableError: "studio.capture.in_use",
    AbortError: "studio.capture.in_use",
  };
  return keys[error?.name] ?? "studio.capture.failed";
}

/**
 * hall: microphones of a hall come from a mixer; echo cancelling and noise suppression would cut
 * distant voices. off: a laptop's own microphone wants both.
 */
export function audioConstraints(deviceId, hall) {
  return {
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    echoCancellation: !hall,
    noiseSuppression: !hall,
    autoGainControl: true,
    channelCount: { ideal: 1 },
    sampleRate: { ideal: 48_000 },
  };
}

export function videoConstraints(deviceId, resolution) {
  const { width, height } = RESOLUTIONS[resolution];
  return {
    ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: FRAME_RATE, max: FRAME_RATE },
  };
}

export async function openCamera(media, deviceId, resolution) {
  const stream = await media.getUserMedia({ video: videoConstraints(deviceId, resolution) });
  const [track] = stream.getVideoTracks();
  // Faces and movement first; the encoder lowers the resolution before the frame rate.
  track.contentHint = "motion";
  return track;
}

export async function openScreen(media, resolution) {
  const { width, height } = RESOLUTIONS[resolution];
  const stream = await media.getDisplayMedia({
    video: { width: { max: width }, height: { max: height }, frameRate: { max: FRAME_RATE } },
  });
  const [track] = stream.getVideoTracks();
  // Slides and documents: letters must stay sharp.
  track.contentHint = "detail";
  return track;
}

export async function openMicrophone(media, deviceId, hall) {
  const stream = await media.getUserMedia({ audio: audioConstraints(deviceId, hall) });
  const [track] = stream.getAudioTracks();
  track.contentHint = hall ? "music" : "speech";
  return track;
}
