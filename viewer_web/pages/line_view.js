/** What the hall reads of its line: a calm banner over the dimmed picture, or a small note. */

import { byId, setText } from "./dom.js";

/**
 * @param {string} state of the player: while it does not play, its own sentence says what is wrong
 * @param {import("../core/line_notice.js").Notice} notice
 */
export function showLine(state, notice, translator) {
  const shown = state === "playing" ? notice : "none";
  byId("stage").dataset.line = shown;
  byId("line-banner").hidden = shown !== "audio-only";
  byId("line-note").hidden = shown !== "reduced";
  if (shown === "audio-only") {
    setText(byId("line-banner-text"), translator.t("viewer.line.audio-only"));
    setText(byId("line-banner-hint"), translator.t("viewer.line.audio-only.hint"));
  } else if (shown === "reduced") {
    setText(byId("line-note"), translator.t("viewer.line.reduced"));
  }
}
