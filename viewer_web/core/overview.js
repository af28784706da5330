/** What the operator's page computes from the hub's overview: order, filter, search, totals. */

import { gradeOf, gradeRank } from "./grade.js";
import { plain } from "./format.js";

const PROBLEMS = new Set(["lost", "bad", "fair"]);
const ALARMS = new Set(["lost", "bad"]);
const worst = (sessions, name, pick) => {
  const values = sessions.map((one) => one[name]).filter((value) => Number.isFinite(value));
  return values.length > 0 ? pick(...values) : null;
};

/** Lines of a screen's picture; one that gets sound alone is the poorest. */
const lines = (session) => (session.line_state === "audio-only" ? 0 : (session.height ?? Infinity));

/** Epoch seconds or ISO times, all of one kind. */
const earliest = (times) => times.reduce((first, one) => (first === null || one < first ? one : first), null);

/**
 * One commune as a row: the figures of its worst session, for one bad screen is a bad hall.
 * @param {object} commune of GET /api/operator/overview
 */
export function rowOf(commune) {
  const sessions = commune.sessions ?? [];
  return {
    slug: commune.slug,
    name: commune.name ?? commune.slug,
    displayName: commune.display_name ?? commune.name ?? commune.slug,
    lineCheck: commune.line_check ?? null,
    kind: commune.kind ?? "",
    grade: gradeOf(commune),
    reason: { vi: commune.grade_reason ?? "", en: commune.grade_reason_en ?? "" },
    connected: Boolean(commune.connected),
    sessions,
    bitrateBps: worst(sessions, "bitrate_bps", Math.min),
    lossRatio: worst(sessions, "loss_ratio", Math.max),
    jitterMs: worst(sessions, "jitter_ms", Math.max),
    rttMs: worst(sessions, "rtt_ms", Math.max),
    fps: worst(sessions, "fps", Math.min),
    freezeCount: worst(sessions, "freeze_count", Math.max),
    freezeSeconds: worst(sessions, "freeze_seconds", Math.max),
    concealedRatio: worst(sessions, "concealed_ratio", Math.max),
    poorest: sessions.reduce((least, one) => (lines(one) < lines(least) ? one : least), sessions[0] ?? null),
    relays: [...new Set(sessions.map((one) => one.relay).filter(Boolean))].sort(),
    since: earliest(sessions.map((one) => one.joined_at).filter(Boolean)),
  };
}

const FILTERS = {
  all: () => true,
  problems: (row) => PROBLEMS.has(row.grade),
  connected: (row) => row.connected,
  absent: (row) => !row.connected,
};

const byName = (a, b) => a.name.localeCompare(b.name, "vi");
const high = (name) => (a, b) => (b[name] ?? -1) - (a[name] ?? -1);
const low = (name) => (a, b) => (a[name] ?? Infinity) - (b[name] ?? Infinity);
const ORDERS = {
  grade: (a, b) => gradeRank(a.grade) - gradeRank(b.grade),
  name: () => 0,
  loss: high("lossRatio"),
  bitrate: low("bitrateBps"),
};

/**
 * Rows to draw.
 * @param {{filter: string, sort: string, search: string}} choice
 */
export function rowsToShow(rows, { filter = "all", sort = "grade", search = "" } = {}) {
  const wanted = plain(search);
  return rows
    .filter(FILTERS[filter] ?? FILTERS.all)
    .filter((row) => plain(row.name).includes(wanted) || row.slug.includes(wanted))
    .sort((a, b) => (ORDERS[sort] ?? ORDERS.grade)(a, b) || byName(a, b));
}

export function totalsOf(rows) {
  const sessions = rows.flatMap((row) => row.sessions);
  return {
    communes: rows.length,
    connected: rows.filter((row) => row.connected).length,
    alarms: rows.filter((row) => ALARMS.has(row.grade)).length,
    viewers: sessions.length,
    egressBps: sessions.reduce((sum, one) => sum + (one.bitrate_bps ?? 0), 0),
  };
}

/**
 * The overview with one event of the operator's stream applied.
 * `overview` replaces all, `commune` one row, `stream` the source, `relays` the relays.
 */
export function applyEvent(overview, event) {
  const { name, data } = event;
  if (name === "overview" || name === "message") return data;
  if (overview === null) return overview;
  if (name === "stream") return { ...overview, stream: data };
  if (name === "relays") return { ...overview, relays: data.relays };
  if (name !== "commune") return overview;
  const known = overview.communes.some((one) => one.slug === data.slug);
  const communes = known
    ? overview.communes.map((one) => (one.slug === data.slug ? { ...one, ...data } : one))
    : [...overview.communes, data];
  return { ...overview, communes };
}
