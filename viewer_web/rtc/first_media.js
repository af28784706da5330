/** When a new leg may take the place of the old one. */

import { HttpProblem } from "../core/problem.js";

const POLL_MS = 100;
export const FIRST_MEDIA_LIMIT_MS = 8000;
/** The same while there is another place to try. */
export const FIRST_MEDIA_OR_ELSEWHERE_MS = 3000;
/** Voice alone counts as the first media when no video packet has come for this long. */
const VOICE_ALONE_MS = 2000;

/**
 * Until the leg has decoded a frame (or plays voice alone, or its publisher is away).
 * Throws HttpProblem when nothing has come within limitMs, and the signal's reason.
 *
 * @param {import("./whep_leg.js").WhepLeg} leg
 * @param {object} options
 * @param {import("./environment.js").Environment} options.env
 * @param {number} options.limitMs
 * @param {AbortSignal} options.signal the leg is not wanted any more
 */
export async function firstMedia(leg, { env, limitMs, signal }) {
  const startMs = env.now();
  let voiceMs = null;
  for (;;) {
    const digest = await leg.digest();
    const nowMs = env.now();
    signal.throwIfAborted();
    if (digest.framesDecoded > 0 || leg.publisherGone || leg.voiceOnly(digest)) return;
    if (digest.audioPackets > 0 && digest.videoPackets === 0) voiceMs ??= nowMs;
    if (voiceMs !== null && nowMs - voiceMs >= VOICE_ALONE_MS) return;
    if (nowMs - startMs >= limitMs) throw new HttpProblem(0, "no media");
    await env.wait(POLL_MS);
  }
}
