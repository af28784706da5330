/** The 63 sites as a grid and as a table; rows are reused so that focus and scrolling stay. */

import { bitrate, count, fps, millis, percent, size, timeOfDay } from "../core/format.js";
import { gradeSign } from "../core/grade.js";
import { lineKey, pathKey } from "../core/session_words.js";
import { element, setText } from "./dom.js";

export const COLUMNS = [
  "operator.column.name",
  "operator.column.grade",
  "figure.bitrate",
  "figure.loss",
  "figure.jitter",
  "figure.rtt",
  "operator.picture",
  "figure.fps",
  "figure.freezes",
  "figure.concealed",
  "figure.path",
  "operator.column.sessions",
  "operator.served_by",
  "operator.column.since",
];

export const gradeWord = (grade, translator) => `${gradeSign(grade)} ${translator.t(`grade.${grade}`)}`;

export const wordOr = (key, translator) => (key === null ? "–" : translator.t(key));

/** What a screen gets: "640×360", or that it gets sound alone. */
export function pictureOf(session, translator) {
  if (session.line_state === "audio-only") return translator.t(lineKey(session));
  return size(session.width, session.height);
}

/** Draw `rows` into a <ul>; `open` is told the slug of the pressed site. */
export function drawGrid(list, rows, translator, open) {
  reuse(list, rows, () => {
    const button = element("button", { type: "button", class: "site" });
    button.append(
      element("strong"),
      element("span", { class: "word" }),
      element("span", { class: "figures-line" }),
    );
    button.addEventListener("click", () => open(button.dataset.slug));
    return element("li", {}, button);
  });
  rows.forEach((row, index) => fillSite(list.children[index].firstElementChild, row, translator));
}

function fillSite(button, row, translator) {
  const { lang } = translator;
  button.dataset.slug = row.slug;
  button.dataset.grade = row.grade;
  const [name, word, line] = button.children;
  setText(name, row.name);
  word.dataset.grade = row.grade;
  setText(word, gradeWord(row.grade, translator));
  const figures = [bitrate(row.bitrateBps, lang), percent(row.lossRatio, lang), ...row.relays];
  const healthy = row.grade === "good" || row.grade === "unknown";
  setText(line, healthy ? figures.join(" · ") : row.grade === "absent" ? (row.lineCheck?.[lang] ?? "") : row.reason[lang]);
}

export function drawTable(body, rows, translator, open) {
  reuse(body, rows, () => {
    const name = element("button", { type: "button" });
    name.addEventListener("click", () => open(name.dataset.slug));
    const cells = COLUMNS.map(() => element("td"));
    cells[0].append(name);
    cells[1].classList.add("word");
    return element("tr", {}, ...cells);
  });
  rows.forEach((row, index) => fillRow(body.children[index], row, translator));
}

function fillRow(line, row, translator) {
  const { lang } = translator;
  line.dataset.grade = row.grade;
  const [first, ...cells] = line.children;
  first.firstElementChild.dataset.slug = row.slug;
  setText(first.firstElementChild, row.name);
  cells[0].dataset.grade = row.grade;
  const texts = [
    gradeWord(row.grade, translator),
    bitrate(row.bitrateBps, lang),
    percent(row.lossRatio, lang),
    millis(row.jitterMs),
    millis(row.rttMs),
    row.poorest === null ? "–" : pictureOf(row.poorest, translator),
    fps(row.fps),
    count(row.freezeCount, lang),
    percent(row.concealedRatio, lang),
    wordOr(row.poorest && pathKey(row.poorest), translator),
    count(row.sessions.length, lang),
    row.relays.join(", ") || "–",
    timeOfDay(row.since, lang),
  ];
  texts.forEach((text, index) => setText(cells[index], text));
}

/** Head of the table, again when the language changes. */
export function drawColumns(head, translator) {
  head.replaceChildren(
    ...COLUMNS.map((key) => element("th", { scope: "col", text: translator.t(key) })),
  );
}

function reuse(parent, rows, make) {
  while (parent.children.length > rows.length) parent.lastElementChild.remove();
  while (parent.children.length < rows.length) parent.append(make());
}
