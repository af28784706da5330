/** The control room: the overview once, then its events; drawn again when something changed. */

import { bitrate, count, fps, percent, seconds, timeOfDay } from "../core/format.js";
import { applyEvent, rowOf, rowsToShow, totalsOf } from "../core/overview.js";
import { HttpProblem } from "../core/problem.js";
import { relayRows } from "../core/relays.js";
import { sourceOf } from "../core/source_figures.js";
import { takeToken } from "../core/token.js";
import { pageTranslator } from "../i18n/index.js";
import { browserEnvironment } from "../rtc/environment.js";
import { followEvents } from "../rtc/event_stream.js";
import { eventSource, fetchJson } from "./api.js";
import { byId, fillFigures, fillFindings, setText } from "./dom.js";
import { RelayTable } from "./relay_table.js";
import { SiteDialog } from "./site_dialog.js";
import { drawColumns, drawGrid, drawTable } from "./site_views.js";

/** Figures older than this are called old: the stream sends at least every few seconds. */
const STALE_MS = 10_000;

const translator = pageTranslator(document, localStorage);
const t = (key, values) => translator.t(key, values);
const token = takeToken({ location, history, keep: [sessionStorage] });
const env = browserEnvironment();
const dialog = new SiteDialog(env, token, translator);
const relays = new RelayTable(env, token, translator);

let overview = null;
let rows = [];
let updatedMs = null;
let updatedAt = null;
let connected = false;
let drawing = false;

addEventListener("hashchange", () => location.reload());

function take(next) {
  overview = next;
  rows = (overview?.communes ?? []).map(rowOf);
  updatedMs = env.now();
  updatedAt = Date.now() / 1000;
  showFreshness();
  draw();
}

/** One drawing per frame, however many events came. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawNow();
  });
}

function drawNow() {
  if (overview === null) return;
  drawSource();
  drawTotals();
  drawSites();
  relays.draw(relayRows(overview.relays));
  const shown = rows.find((row) => row.slug === dialog.slug);
  if (shown) dialog.update(shown);
}

function drawSource() {
  const { lang } = translator;
  const source = sourceOf(overview.stream);
  const word = { on_air: "operator.on_air", silent: "operator.silent", off: "operator.off_air" };
  byId("air").dataset.air = source.air;
  setText(byId("air"), t(word[source.air]));
  setText(byId("session-title"), source.title[lang] ?? "");
  fillFigures(byId("stream"), [
    [t("operator.publisher"), source.publisher ?? "–"],
    [t("operator.ingest"), bitrate(source.bitrateBps, lang)],
    [t("figure.fps"), fps(source.fps)],
    [t("figure.loss"), percent(source.lossRatio, lang)],
    [t("operator.keyframe_gap"), seconds(source.keyframeGapS, lang)],
    [t("operator.codec"), source.codecs || "–"],
  ]);
  fillFindings(byId("findings"), source.findings, translator, "operator.findings.none");
}

function drawTotals() {
  const { lang } = translator;
  const totals = totalsOf(rows);
  const of = t("operator.connected_of", { n: totals.connected, total: totals.communes });
  fillFigures(byId("totals"), [
    [t("operator.connected"), of],
    [t("operator.bad_count"), count(totals.alarms, lang)],
    [t("operator.viewers"), count(totals.viewers, lang)],
    [t("operator.egress"), bitrate(totals.egressBps, lang)],
  ]);
}

function drawSites() {
  const shown = rowsToShow(rows, {
    filter: byId("filter").value,
    sort: byId("sort").value,
    search: byId("search").value,
  });
  const asTable = byId("view").value === "table";
  byId("none").hidden = shown.length > 0;
  byId("grid").hidden = asTable;
  byId("table-frame").hidden = !asTable || shown.length === 0;
  if (asTable) drawTable(byId("rows"), shown, translator, open);
  else drawGrid(byId("grid"), shown, translator, open);
}

function open(slug) {
  const row = rows.find((one) => one.slug === slug);
  if (row) dialog.open(row);
}

function showFreshness() {
  const stale = updatedMs !== null && (!connected || env.now() - updatedMs > STALE_MS);
  byId("freshness").dataset.stale = String(stale);
  const key = overview === null ? "operator.loading" : stale ? "operator.stale" : "operator.live";
  const time = timeOfDay(updatedAt, translator.lang);
  setText(byId("freshness"), byId("notice").hidden ? t(key, { time }) : "");
}

function showProblem(problem) {
  byId("notice").hidden = problem === null;
  if (problem) setText(byId("notice"), t(problem.final ? problem.sentenceKey : "operator.loading"));
  showFreshness();
}

/** The whole picture once; the stream brings it again if this fails. */
async function loadOverview() {
  try {
    take(await fetchJson(env, "/api/operator/overview", token));
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    if (error.final) showProblem(error);
  }
}

async function follow() {
  const { signal } = new AbortController();
  const problem = await followEvents({
    open: eventSource(env, "/api/operator/events", token, signal),
    onEvent: (event) => take(applyEvent(overview, event)),
    onLink: (up) => {
      connected = up;
      showFreshness();
    },
    signal,
    wait: env.wait,
    random: env.random,
  });
  if (problem) showProblem(problem);
}

for (const id of ["search", "filter", "sort", "view"]) byId(id).addEventListener("input", draw);
byId("tools").addEventListener("submit", (event) => event.preventDefault());
translator.onChange(() => {
  drawColumns(byId("columns"), translator);
  relays.drawColumns();
  showFreshness();
  draw();
});
drawColumns(byId("columns"), translator);
relays.drawColumns();
document.title = `${t("operator.title")} · wardcast`;
setInterval(showFreshness, 1000);
if (token === null) {
  byId("notice").hidden = false;
  setText(byId("notice"), t("link.no_token"));
} else {
  void loadOverview();
  void follow();
}
showFreshness();

/** What tests and support read; nothing on the page depends on it. */
Object.defineProperty(window, "wardcast", {
  get: () => ({ connected, overview, rows, updatedMs }),
});
