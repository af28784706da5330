/** The relays below the sites: one line each, with drain and move. */

import { bitrate, count, millis, percent } from "../core/format.js";
import { HttpProblem } from "../core/problem.js";
import { fetchJson } from "./api.js";
import { byId, element, setText } from "./dom.js";

const COLUMNS = ["id", "state", "viewers", "upstream", "in", "out", "egress", "cpu", "lag", "version", "actions"];

export class RelayTable {
  #env;
  #token;
  #translator;

  constructor(env, token, translator) {
    this.#env = env;
    this.#token = token;
    this.#translator = translator;
  }

  /** rows: of core/relays.js. */
  draw(rows) {
    byId("relays-card").hidden = rows.length === 0;
    const body = byId("relay-rows");
    const shown = [...body.children].map((line) => line.dataset.id).join();
    if (shown !== rows.map((row) => row.id).join()) {
      body.replaceChildren(...rows.map((row) => this.#line(row)));
    }
    rows.forEach((row, index) => this.#fill(body.children[index], row));
  }

  drawColumns() {
    const heads = COLUMNS.map((name) =>
      element("th", { scope: "col", text: this.#translator.t(`operator.relay.${name}`) }),
    );
    byId("relay-columns").replaceChildren(...heads);
    byId("relay-rows").replaceChildren();
  }

  #line(row) {
    const cells = COLUMNS.slice(0, -1).map(() => element("td"));
    const button = (key, act) =>
      element("button", {
        type: "button",
        "data-do": key,
        text: this.#translator.t(`operator.relay.${key}`),
        onclick: () => void act(),
      });
    const actions = element(
      "td",
      {},
      button("drain", () => this.#ask("drain", row.id)),
      button("resume", () => this.#ask("resume", row.id)),
      button("move", () => this.#ask("move", row.id)),
    );
    return element("tr", { "data-id": row.id }, ...cells, actions);
  }

  #fill(line, row) {
    const t = (key, values) => this.#translator.t(key, values);
    const { lang } = this.#translator;
    line.dataset.grade = row.tone;
    const upstream = row.role === "origin" ? t("operator.relay.is_origin") : this.#upstream(row);
    const texts = [
      row.id,
      t(`operator.relay.state.${row.state}`),
      `${count(row.viewers, lang)} / ${count(row.capacity, lang)}`,
      upstream,
      count(row.packets_in_per_s, lang),
      count(row.packets_out_per_s, lang),
      bitrate(row.bitrate_bps, lang),
      percent(row.cpu, lang),
      millis(row.lag_ms),
      row.version,
    ];
    texts.forEach((text, index) => setText(line.children[index], text));
    const allowed = { drain: row.canDrain, resume: row.canResume, move: row.canMove };
    for (const button of line.querySelectorAll("button")) button.hidden = !allowed[button.dataset.do];
  }

  #upstream(row) {
    const word = this.#translator.t(`operator.relay.upstream.${row.upstream}`);
    const way = row.lineage.length > 0 ? ` (${row.lineage.join(" → ")})` : "";
    return word + way;
  }

  async #ask(verb, id) {
    const t = (key, values) => this.#translator.t(key, values);
    if (verb !== "resume" && !confirm(t(`operator.relay.${verb}_confirm`, { id }))) return;
    const path = `/api/operator/relays/${encodeURIComponent(id)}/${verb}`;
    try {
      const answer = await fetchJson(this.#env, path, this.#token, { method: "POST", body: {} });
      setText(byId("relay-result"), t("operator.relay.done", { id, n: answer?.moving ?? 0 }));
    } catch (error) {
      if (!(error instanceof HttpProblem)) throw error;
      const reason = error.detail || t(error.sentenceKey);
      setText(byId("relay-result"), t("operator.action_failed", { reason }));
    }
  }
}
