/** The commune's page: opens from its link and plays. Everything that decides is in rtc/ and core/. */

import { lineWord } from "../core/line_word.js";
import { bitrate, count, fps, millis, percent, size } from "../core/format.js";
import { Places, REFRESH_MS } from "../core/places.js";
import { claimsOf, shareableLink, takeToken } from "../core/token.js";
import { pageTranslator } from "../i18n/index.js";
import { browserEnvironment } from "../rtc/environment.js";
import { Pause } from "../rtc/pause.js";
import { SizeTeller } from "../rtc/size_teller.js";
import { WhepPlayer } from "../rtc/whep_player.js";
import { HttpProblem } from "../core/problem.js";
import { fetchJson } from "./api.js";
import { TelemetryBeacon } from "./beacon.js";
import { byId, copyText, fillFigures, setMeter, setText, WakeLock } from "./dom.js";
import { bindLineCheck } from "./line_check.js";
import { showLine } from "./line_view.js";
import { bindFullscreen, Screen } from "./screen.js";
import { watchSize } from "./size_watch.js";

const METER_MS = 100;
const PLACES_LIMIT_MS = 4000;
const INFO_LIMIT_MS = 2500;
const DEFAULT_STREAM = "phien-hop";

const translator = pageTranslator(document, localStorage);
const token = takeToken({ location, history, keep: [sessionStorage, localStorage] });
const claims = claimsOf(token);
const slug = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop() ?? "");
const env = browserEnvironment();
const wakeLock = new WakeLock();
const screen = new Screen(byId("video"), byId("last-picture"), showSoundGate);

const placesPause = new Pause(env);
const sizeTeller = new SizeTeller(env);

let places = null;
let player = null;
let info = null;
let figures = null;
let notice = "";

// A new link pasted over the old one changes the fragment alone, which loads nothing.
addEventListener("hashchange", () => location.reload());

function showSoundGate(blocked) {
  byId("sound-gate").hidden = !blocked;
  showMute();
}

function showMute() {
  setText(byId("mute"), translator.t(screen.muted ? "viewer.unmute" : "viewer.mute"));
  byId("mute").setAttribute("aria-pressed", String(screen.muted));
}

const line = () => player?.leg?.line ?? "none";

function showState() {
  const state = player?.state ?? (token === null ? "denied" : "connecting");
  const problem = player?.problem;
  const moving = state === "reconnecting" && player.moving;
  const words = translator.t(`viewer.state.${moving ? "moving" : state}`);
  byId("status").dataset.state = state;
  setText(byId("status-text"), words);
  const hidden = state === "playing" || state === "stopped" || state === "idle";
  byId("overlay").hidden = hidden;
  // Over a picture the sentence stands at the bottom, on an empty stage in the middle.
  byId("overlay").classList.toggle("centre", byId("video").videoWidth === 0);
  byId("retry").hidden = state !== "denied" || player === null;
  showLine(state, line(), translator);
  if (hidden) return;
  setText(byId("message"), words);
  const hint = moving ? translator.t("viewer.hint.moving") : hintFor(state, problem);
  setText(byId("hint"), notice ? translator.t(notice) : hint);
}

function hintFor(state, problem) {
  if (problem instanceof HttpProblem && problem.reason !== "nobody_on_air") {
    return translator.t(problem.sentenceKey);
  }
  const key = `viewer.hint.${state}`;
  return translator.has(key) ? translator.t(key) : "";
}

function showFigures() {
  if (!figures) return;
  const { digest, rates } = figures;
  const { lang } = translator;
  showLine(player.state, line(), translator);
  const word = line() === "audio-only" ? "voice" : lineWord(digest, rates);
  setText(byId("line-word"), translator.t(`viewer.link.${word}`));
  if (byId("details").hidden) return;
  const rtt = digest.roundTripTime === null ? null : digest.roundTripTime * 1000;
  const jitter = digest.jitter === null ? null : digest.jitter * 1000;
  fillFigures(byId("figures"), [
    [translator.t("figure.bitrate"), bitrate(rates.bitrateBps, lang)],
    [translator.t("figure.size"), size(digest.frameWidth, digest.frameHeight)],
    [translator.t("figure.fps"), fps(digest.framesPerSecond)],
    [translator.t("figure.loss"), percent(rates.lossRatio, lang)],
    [translator.t("figure.jitter"), millis(jitter)],
    [translator.t("figure.rtt"), millis(rtt)],
    [translator.t("figure.buffer"), millis(rates.bufferMs)],
    [translator.t("figure.freezes"), count(digest.freezeCount, lang)],
    [translator.t("figure.concealed"), percent(rates.concealedRatio, lang)],
    [translator.t("figure.path"), path(digest.transport)],
  ]);
}

const path = (transport) => (transport === null ? "–" : translator.t(`figure.path.${transport}`));

function showInfo() {
  const name = info?.name ?? slug;
  setText(byId("commune"), name);
  const title = translator.lang === "en" ? info?.title_en : info?.title;
  if (title) {
    delete byId("session-title").dataset.i18n;
    setText(byId("session-title"), title);
  }
  document.title = `${name} · ${title ?? translator.t("viewer.title")}`;
}

/** Names to show, and the stream of a link that does not name one. */
async function loadInfo() {
  try {
    info = await fetchJson(env, "/api/viewer/info", token, { timeoutMs: INFO_LIMIT_MS });
    showInfo();
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    // The name in the address stays; the player says what is wrong with the link.
  }
}

async function start() {
  const loaded = loadInfo();
  const named = claims.stream && claims.stream !== "*";
  // Only a link for any stream has to wait for the hub to name it.
  if (!named) await loaded;
  const stream = named ? claims.stream : (info?.stream ?? DEFAULT_STREAM);
  const endpoint = new URL(`/whep/${encodeURIComponent(stream)}`, location.origin).href;
  places = new Places(endpoint, sessionStorage);
  void keepPlaces();
  player = new WhepPlayer({
    env,
    places,
    endpoint,
    token,
    surface: screen,
    on: {
      state: showState,
      figures: (digest, rates) => {
        figures = { digest, rates };
        sizeTeller.use(player.leg?.session ?? null);
        showFigures();
      },
      event: ({ name }) => name === "line" && showFigures(),
      moved: () => placesPause.wake(),
    },
  });
  player.start();
  const beacon = new TelemetryBeacon(env, player, token);
  beacon.start();
  void wakeLock.hold();
  watchSize(byId("video"), (size) => sizeTeller.see(size));
  setInterval(() => setMeter(byId("sound-meter"), meterFraction(player.audioLevel)), METER_MS);
  listen();
}

/** The relays that the page may go to by itself, asked for now and then and after each move. */
async function keepPlaces() {
  for (;;) {
    try {
      const me = await fetchJson(env, "/api/me", token, { timeoutMs: PLACES_LIMIT_MS });
      places.take(me?.alternatives);
    } catch (error) {
      // Without an answer the last list stays.
      if (!(error instanceof HttpProblem)) throw error;
    }
    await placesPause.wait(REFRESH_MS);
  }
}

/** Linear level to a bar that moves with speech: -50 dB is empty, 0 dB full. */
function meterFraction(level) {
  return level > 0 ? 1 + Math.log10(level) / 2.5 : 0;
}

function listen() {
  addEventListener("online", () => player.nudge("online"));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    void screen.play();
    void wakeLock.renew();
    player.nudge("visible");
  });
  addEventListener("pagehide", () => void player.stop({ keepalive: true }));
  addEventListener("pageshow", (event) => {
    if (event.persisted) player.start();
  });
  byId("retry").addEventListener("click", () => player.nudge("retry"));
}

byId("unmute").addEventListener("click", () => void screen.unmute());
byId("mute").addEventListener("click", () => {
  if (screen.muted) void screen.unmute();
  else screen.mute();
});
byId("show-details").addEventListener("click", () => {
  byId("details").hidden = !byId("details").hidden;
  byId("show-details").setAttribute("aria-expanded", String(!byId("details").hidden));
  showFigures();
});
byId("copy-link").addEventListener("click", async () => {
  const done = await copyText(shareableLink(location.href, token));
  const button = byId("copy-link");
  setText(button, translator.t(done ? "link.copied" : "link.copy_failed"));
  setTimeout(() => setText(button, translator.t("link.copy")), 6000);
});
byId("copy-link").hidden = token === null;
const checkElements = { button: byId("check-line"), words: byId("check-words") };
const showCheck = bindLineCheck(checkElements, env, token, translator);
byId("check-line").hidden = token === null;
bindFullscreen(byId("fullscreen"), translator);
translator.onChange(() => {
  showInfo();
  showState();
  showFigures();
  showMute();
  showCheck();
});

if (token === null) {
  notice = "link.no_token";
} else {
  void start();
}
showState();
showMute();
showInfo();

/** What tests and support read; nothing on the page depends on it. */
Object.defineProperty(window, "wardcast", {
  get: () => ({
    state: player?.state ?? (token === null ? "denied" : "connecting"),
    frames: player?.digest?.framesDecoded ?? 0,
    audioEnergy: player?.digest?.totalAudioEnergy ?? 0,
    audioPackets: player?.digest?.audioPackets ?? 0,
    sessionId: player?.sessionId ?? null,
    recoveries: player?.log.entries ?? [],
    recoveryCount: player?.log.recoveries ?? 0,
    problem: player?.problem?.status ?? null,
    place: player?.place ?? null,
    alternatives: places?.alternatives ?? [],
    moves: player?.log.moves ?? [],
    digest: player?.digest ?? null,
    line: line(),
    told: player?.leg?.told ?? null,
    size: sizeTeller.told,
  }),
});
