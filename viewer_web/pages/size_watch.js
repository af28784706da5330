/** At which size the picture is seen, told whenever that changes. */

import { HIDDEN, HIDDEN_AFTER_MS, visibleSize } from "../core/visible_size.js";

/** @param {(size: {maxWidth: number, maxHeight: number}|null) => void} see */
export function watchSize(video, see) {
  let timer = 0;
  const look = () => see(visibleSize(video.getBoundingClientRect(), devicePixelRatio));
  const visibility = () => {
    clearTimeout(timer);
    const unseen = document.hidden && document.pictureInPictureElement !== video;
    if (unseen) timer = setTimeout(() => see(HIDDEN), HIDDEN_AFTER_MS);
    else look();
  };
  new ResizeObserver(() => document.hidden || look()).observe(video);
  // A window that moves to a screen of another density keeps its size in CSS pixels.
  addEventListener("resize", () => document.hidden || look());
  document.addEventListener("visibilitychange", visibility);
  for (const name of ["enterpictureinpicture", "leavepictureinpicture"]) {
    video.addEventListener(name, visibility);
  }
}
