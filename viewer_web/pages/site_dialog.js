/** One site in detail: its screens, and the two things an operator can do about them. */

import { bitrate, count, fps, millis, percent, timeOfDay } from "../core/format.js";
import { HttpProblem } from "../core/problem.js";
import { layerKey, lineKey, pathKey, pinOf } from "../core/session_words.js";
import { fetchJson } from "./api.js";
import { byId, element, fillFigures, setText } from "./dom.js";
import { gradeWord, pictureOf, wordOr } from "./site_views.js";

export class SiteDialog {
  #env;
  #token;
  #translator;
  #row = null;
  #dialog = byId("detail");

  constructor(env, token, translator) {
    this.#env = env;
    this.#token = token;
    this.#translator = translator;
    byId("detail-close").addEventListener("click", () => this.#dialog.close());
    byId("new-link").addEventListener("click", () => void this.#newLink());
    byId("pin-layer").addEventListener("change", () => void this.#pin(byId("pin-layer").value));
  }

  /** Slug of the site that is shown, or null. */
  get slug() {
    return this.#dialog.open ? (this.#row?.slug ?? null) : null;
  }

  open(row) {
    setText(byId("detail-result"), "");
    byId("pin-layer").value = pinOf(row.sessions);
    this.update(row);
    this.#dialog.showModal();
  }

  update(row) {
    this.#row = row;
    setText(byId("detail-name"), row.displayName);
    byId("detail-grade").dataset.grade = row.grade;
    setText(byId("detail-grade"), gradeWord(row.grade, this.#translator));
    setText(byId("detail-reason"), row.reason[this.#translator.lang]);
    this.#showLineCheck(row.lineCheck);
    this.#drawSessions(row.sessions);
  }

  #showLineCheck(check) {
    const { t, lang } = this.#bound();
    const box = byId("detail-line-check");
    box.hidden = check === null;
    if (check === null) return;
    const figures = [
      bitrate(check.down_bps, lang),
      percent(check.loss_ratio, lang),
      check.rtt_ms === null ? "" : millis(check.rtt_ms),
      timeOfDay(check.at, lang),
    ].filter(Boolean);
    setText(box, `${t("operator.line_check")}: ${check[lang]} (${figures.join(" · ")})`);
  }

  #drawSessions(sessions) {
    const box = byId("detail-sessions");
    const shown = [...box.querySelectorAll(".session")].map((one) => one.dataset.id);
    if (shown.join() !== sessions.map((one) => one.id).join() || sessions.length === 0) {
      box.replaceChildren(
        ...(sessions.length > 0
          ? sessions.map((session, index) => this.#sessionBox(session, index + 1))
          : [element("p", { text: this.#translator.t("operator.no_sessions") })]),
      );
    }
    sessions.forEach((session, index) => this.#fillSession(box.children[index], session));
  }

  #sessionBox(session, n) {
    const { t } = this.#bound();
    return element(
      "section",
      { class: "session", "data-id": session.id },
      element("h3", { text: t("operator.session", { n }) }),
      element("dl", { class: "figures" }),
      element("p", { class: "agent", text: session.user_agent ?? "" }),
      element("button", {
        type: "button",
        text: t("operator.kick"),
        onclick: () => void this.#kick(session.id),
      }),
    );
  }

  #fillSession(box, session) {
    const { t, lang } = this.#bound();
    fillFigures(box.querySelector("dl"), [
      [t("operator.column.since"), timeOfDay(session.joined_at, lang)],
      [t("figure.bitrate"), bitrate(session.bitrate_bps, lang)],
      [t("figure.loss"), percent(session.loss_ratio, lang)],
      [t("figure.jitter"), millis(session.jitter_ms)],
      [t("figure.rtt"), millis(session.rtt_ms)],
      [t("figure.fps"), fps(session.fps)],
      [t("operator.picture"), pictureOf(session, this.#translator)],
      [t("operator.layer"), wordOr(layerKey(session), this.#translator)],
      [t("operator.line"), wordOr(lineKey(session), this.#translator)],
      [t("operator.line_carries"), bitrate(session.line_bps, lang)],
      [t("figure.path"), wordOr(pathKey(session), this.#translator)],
      [t("figure.freezes"), count(session.freeze_count, lang)],
      [t("figure.concealed"), percent(session.concealed_ratio, lang)],
      [t("operator.asked_again"), percent(session.nack_ratio, lang)],
      [t("operator.served_by"), session.relay || "–"],
    ]);
  }

  #bound() {
    const translator = this.#translator;
    return { t: (key, values) => translator.t(key, values), lang: translator.lang };
  }

  async #kick(id) {
    const { t } = this.#bound();
    if (!confirm(t("operator.kick_confirm", { name: this.#row.name }))) return;
    await this.#do(async () => {
      await fetchJson(this.#env, `/api/operator/sessions/${encodeURIComponent(id)}`, this.#token, {
        method: "DELETE",
      });
      return t("operator.kick_done");
    });
  }

  async #newLink() {
    const { t } = this.#bound();
    const { slug, name } = this.#row;
    if (!confirm(t("operator.new_link_confirm", { name }))) return;
    await this.#do(async () => {
      const path = `/api/operator/communes/${encodeURIComponent(slug)}/link`;
      const answer = await fetchJson(this.#env, path, this.#token, { method: "POST", body: {} });
      return `${t("operator.new_link_done", { name })} ${answer?.url ?? answer?.link ?? ""}`;
    });
  }

  async #pin(rid) {
    const { t } = this.#bound();
    const { slug, name } = this.#row;
    await this.#do(async () => {
      const path = `/api/operator/communes/${encodeURIComponent(slug)}/layer`;
      const body = { rid: rid || null };
      await fetchJson(this.#env, path, this.#token, { method: "POST", body });
      return t("operator.pin_done", { name });
    });
  }

  async #do(action) {
    try {
      setText(byId("detail-result"), await action());
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      const { t } = this.#bound();
      const reason = error.detail || t(error.sentenceKey);
      setText(byId("detail-result"), t("operator.action_failed", { reason }));
    }
  }
}
