/**
 * The size at which the picture is seen, in device pixels: what a page asks of its node
 * (`POST <session>/layer`), so that nobody is sent more than he sees.
 */

/** A page in the background asks for little: its sound matters, and its line has other uses. */
export const HIDDEN = Object.freeze({ maxWidth: 320, maxHeight: 180 });
/** Not for a glance at another window: coming back would begin with a coarse picture. */
export const HIDDEN_AFTER_MS = 10_000;
const MAX_PIXELS = 16_384;

/**
 * @param {{width: number, height: number}} box of the video element, CSS pixels
 * @param {number} pixelRatio
 * @returns {{maxWidth: number, maxHeight: number}|null} null while the page has no shape
 */
export function visibleSize({ width, height }, pixelRatio) {
  const pixels = (length) => Math.min(MAX_PIXELS, Math.round(length * pixelRatio));
  const size = { maxWidth: pixels(width), maxHeight: pixels(height) };
  return size.maxWidth > 0 && size.maxHeight > 0 ? size : null;
}

export const sameSize = (one, other) =>
  one?.maxWidth === other?.maxWidth && one?.maxHeight === other?.maxHeight;
