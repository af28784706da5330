/** The technician's page: pick sources, look, go live, read what to change. */

import { bitrate, clock, count, fps, millis, percent, size } from "../core/format.js";
import { codecOf } from "../core/layers.js";
import { studioStatus } from "../core/studio_status.js";
import { claimsOf, takeToken } from "../core/token.js";
import { pageTranslator } from "../i18n/index.js";
import { MAX_AUDIO_BPS, RESOLUTIONS } from "../rtc/capture.js";
import { browserEnvironment } from "../rtc/environment.js";
import { LevelMeter, SILENCE_DB } from "../rtc/level_meter.js";
import { WhipPublisher } from "../rtc/whip_publisher.js";
import { byId, fillFigures, fillFindings, setMeter, setText, WakeLock } from "./dom.js";
import { drawLayers } from "./layer_view.js";
import { fillDevices, NONE, SCREEN, Sources } from "./sources.js";
import { followStatus } from "./status_feed.js";

const METER_MS = 80;
const SILENT_AFTER_MS = 4000;
const SILENT_DB = -50;
const CLIPPING_DB = -1;

const translator = pageTranslator(document, localStorage);
const t = (key, values) => translator.t(key, values);
const token = takeToken({ location, history, keep: [sessionStorage] });
const claims = claimsOf(token);
const env = browserEnvironment();
const meter = new LevelMeter();
const wakeLock = new WakeLock();
const sources = navigator.mediaDevices
  ? new Sources(navigator.mediaDevices, { changed, problem: showNotice, ended })
  : null;

let publisher = null;
let status = null;
let figures = null;
let liveSinceMs = null;
let heardMs = 0;
let noticeKey = null;

addEventListener("hashchange", () => location.reload());

function settings() {
  const { layersBps } = RESOLUTIONS[byId("resolution").value];
  return { codec: codecOf(location.search), layersBps, maxAudioBps: MAX_AUDIO_BPS };
}

function showNotice(key, values) {
  noticeKey = key;
  byId("notice").hidden = key === null;
  if (key !== null) setText(byId("notice"), t(key, values));
}

/** A source was chosen: the preview, the meter and, on air, the sender follow. */
function changed(kind) {
  showNotice(null);
  if (kind === "audio") void meter.attach(sources.track("audio"));
  if (kind === "video") byId("preview").srcObject = sources.stream;
  void publisher?.replace(kind);
  showButtons();
}

function ended(kind, wasScreen) {
  if (kind === "audio") showNotice("studio.microphone_lost");
  else showNotice(wasScreen ? "studio.screen_ended" : "studio.camera_lost");
}

async function chooseVideo() {
  await sources.chooseVideo(byId("camera").value, byId("resolution").value);
  await publisher?.configure(settings());
}

const chooseAudio = () =>
  sources.chooseAudio(byId("microphone").value, byId("room").value === "hall");

async function listDevices() {
  const nameless = (n) => t("studio.device_unnamed", { n });
  fillDevices(
    byId("camera"),
    await sources.devices("videoinput"),
    [
      ...(navigator.mediaDevices.getDisplayMedia
        ? [{ value: SCREEN, text: t("studio.screen_option") }]
        : []),
      { value: NONE, text: t("studio.no_camera") },
    ],
    nameless,
  );
  fillDevices(
    byId("microphone"),
    await sources.devices("audioinput"),
    [{ value: NONE, text: t("studio.no_microphone") }],
    nameless,
  );
}

async function openSources() {
  const video = await sources.chooseVideo("", byId("resolution").value);
  const audio = await sources.chooseAudio("", byId("room").value === "hall");
  // Names of devices are told only after the first permission.
  await listDevices();
  select(byId("camera"), video ? deviceOf("video") : NONE);
  select(byId("microphone"), audio ? deviceOf("audio") : NONE);
}

const deviceOf = (kind) => sources.track(kind)?.getSettings().deviceId ?? "";

function select(list, value) {
  if ([...list.options].some((option) => option.value === value)) list.value = value;
}

function goLive() {
  const stream = claims.stream && claims.stream !== "*" ? claims.stream : "phien-hop";
  publisher = new WhipPublisher({
    env,
    token,
    endpoint: new URL(`/whip/${encodeURIComponent(stream)}`, location.origin).href,
    stream: sources.stream,
    settings: settings(),
    on: { state: showState, figures: showLine, camera: showCamera },
  });
  liveSinceMs = null;
  publisher.start();
  void wakeLock.hold();
}

async function stopLive() {
  const leaving = publisher;
  await leaving.stop();
  figures = null;
  liveSinceMs = null;
  showAll();
}

function showState(state, problem) {
  if (state === "live") {
    liveSinceMs ??= env.now();
    showNotice(null);
  } else if (problem) {
    showNotice(problem.status === 409 ? "studio.taken" : problem.sentenceKey);
  } else if (state === "reconnecting") {
    showNotice("studio.reconnecting_hint");
  }
  showButtons();
}

function showCamera(works) {
  if (!works) showNotice("studio.camera_lost");
  else if (noticeKey === "studio.camera_lost") showNotice(null);
}

function showButtons() {
  const state = publisher?.state ?? "idle";
  const running = ["connecting", "live", "reconnecting"].includes(state);
  byId("on-air").dataset.state = state;
  setText(byId("on-air"), t(`studio.state.${state}`));
  byId("go-live").hidden = running;
  byId("go-live").disabled = token === null || !sources || sources.stream.getTracks().length === 0;
  byId("stop").hidden = !running;
}

function showLine(digest, rates) {
  if (digest) figures = { digest, rates };
  const { digest: d = {}, rates: r = {} } = figures ?? {};
  const { lang } = translator;
  const rtt = d.roundTripTime == null ? null : d.roundTripTime * 1000;
  const reason = d.qualityLimitationReason;
  fillFigures(byId("line"), [
    [t("figure.bitrate"), bitrate(r.bitrateBps, lang)],
    [t("figure.fps"), fps(d.framesPerSecond)],
    [t("figure.size"), size(d.frameWidth, d.frameHeight)],
    [t("figure.rtt"), millis(rtt)],
    [t("figure.loss"), percent(d.fractionLost, lang)],
    [t("studio.limitation"), reason ? t(`studio.limitation.${reason}`) : "–"],
  ]);
  drawLayers(byId("layers"), d.layers ?? [], r.layerBps, translator);
  showAudience();
}

function showAudience() {
  const { lang } = translator;
  const duration = liveSinceMs === null ? null : (env.now() - liveSinceMs) / 1000;
  fillFigures(byId("audience"), [
    [t("studio.communes"), count(status?.communes, lang)],
    [t("studio.viewers"), count(status?.viewers, lang)],
    [t("studio.duration"), clock(duration)],
  ]);
}

function showStatus(json) {
  if (json) status = studioStatus(json);
  setText(byId("session-title"), status?.title[translator.lang] ?? "");
  const live = publisher?.state === "live" || (status?.findings.length ?? 0) > 0;
  const empty = live ? "studio.findings.none" : "studio.findings.waiting";
  fillFindings(byId("findings"), status?.findings ?? [], translator, empty);
  showAudience();
}

function showLevel() {
  const { rms, peak } = meter.read();
  const nowMs = env.now();
  if (rms > SILENT_DB) heardMs = nowMs;
  setMeter(byId("level-meter"), 1 - rms / SILENCE_DB);
  const silent = nowMs - heardMs > SILENT_AFTER_MS;
  const word = peak > CLIPPING_DB ? "clipping" : silent ? "silent" : "ok";
  byId("level-meter").dataset.level = word;
  setText(byId("level-word"), sources?.track("audio") ? t(`studio.level.${word}`) : "");
}

function showAll() {
  showButtons();
  showLine();
  showStatus();
}

function listen() {
  byId("go-live").addEventListener("click", goLive);
  byId("stop").addEventListener("click", () => {
    if (confirm(t("studio.stop_confirm"))) void stopLive();
  });
  byId("camera").addEventListener("change", () => void chooseVideo());
  byId("resolution").addEventListener("change", () => void chooseVideo());
  for (const id of ["microphone", "room"]) {
    byId(id).addEventListener("change", () => void chooseAudio());
  }
  navigator.mediaDevices.addEventListener("devicechange", () => void listDevices());
  addEventListener("online", () => publisher?.nudge());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    void wakeLock.renew();
    publisher?.nudge();
  });
  addEventListener("beforeunload", (event) => {
    if (publisher?.state === "live") event.preventDefault();
  });
  addEventListener("pagehide", () => void publisher?.stop({ keepalive: true }));
  setInterval(showLevel, METER_MS);
}

translator.onChange(() => {
  if (sources) void listDevices();
  if (noticeKey) showNotice(noticeKey);
  showAll();
});
showAll();
if (!window.isSecureContext || !sources) {
  showNotice("studio.insecure");
} else {
  listen();
  void openSources();
}
if (token === null) showNotice("link.no_token");
else void followStatus(env, token, showStatus);

/** What tests and support read; nothing on the page depends on it. */
Object.defineProperty(window, "wardcast", {
  get: () => ({
    state: publisher?.state ?? "idle",
    sessionId: publisher?.sessionId ?? null,
    recoveries: publisher?.log.entries ?? [],
    digest: figures?.digest ?? null,
    rates: figures?.rates ?? null,
    status,
    problem: publisher?.problem?.status ?? null,
  }),
});
