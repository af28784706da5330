/** The button that checks the line, and what came of it. */

import { checkLine } from "../rtc/line_check.js";
import { fetchJson } from "./api.js";
import { setText } from "./dom.js";

/**
 * @param {{button: HTMLElement, words: HTMLElement}} elements
 * @param {import("../rtc/environment.js").Environment} env
 */
export function bindLineCheck({ button, words }, env, token, translator) {
  let shown = null;
  const show = () => {
    if (shown === null) return;
    setText(words, typeof shown === "string" ? translator.t(shown) : shown[translator.lang]);
  };
  const say = (what, state) => {
    shown = what;
    words.hidden = false;
    words.dataset.state = state;
    show();
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    say("check.running", "running");
    try {
      const report = await checkLine(env, token, (way) => say(`check.trying.${way}`, "running"));
      const options = { method: "POST", body: report };
      const verdict = await fetchJson(env, "/api/line-check", token, options);
      say({ vi: verdict.vi, en: verdict.en }, verdict.verdict);
    } catch (error) {
      say(error?.status === 503 ? "check.busy" : "check.failed", "not-ready");
    } finally {
      button.disabled = false;
    }
  });
  return show;
}
