/** The line check of a commune's page: the way that the broadcast will take, before it begins. */

import { codecNames, HEADER_BYTES, lossOf, onlyWay, stepsOf, TOTAL_MS } from "../core/line_figures.js";
import { statsList } from "../core/stats_digest.js";
import { HttpSession } from "./http_session.js";

const UP_MS = 6000;
const SAMPLE_MS = 250;
const TAIL_MS = 600;
const ENDPOINT = "/whep/line-check";

/**
 * @param {import("./environment.js").Environment} env
 * @param {string|null} token
 * @param {(way: string) => void} tell what is being tried
 * @returns the report of docs/line-check.md; throws HttpProblem when the hub does not let us check
 */
export async function checkLine(env, token, tell) {
  tell("udp");
  let run = await tryWay(env, token, "udp", { measure: true });
  const udp = wayOf(run);
  tell("tcp");
  const second = await tryWay(env, token, "tcp", { measure: !udp.ok });
  const tcp = wayOf(second);
  if (!udp.ok) run = second;
  const servers = run.iceServers.length > 0 ? run.iceServers : second.iceServers;
  let turn = null;
  if (servers.some((one) => [one.urls].flat().some((url) => url.startsWith("turn")))) {
    tell("turn");
    const third = await tryWay(env, token, "turn", { measure: !udp.ok && !tcp.ok, servers });
    turn = wayOf(third);
    if (!udp.ok && !tcp.ok) run = third;
  }
  return {
    via: "page",
    udp,
    tcp,
    turn,
    rtt_ms: run.rttMs,
    jitter_ms: run.jitterMs,
    loss_ratio: run.loss,
    steps: run.steps,
    codecs: codecNames(globalThis.RTCRtpReceiver?.getCapabilities?.("video")),
  };
}

const wayOf = ({ ok, connectMs }) => ({ ok, connect_ms: connectMs });

async function tryWay(env, token, way, { measure, servers = [] }) {
  const found = { ok: false, connectMs: null, rttMs: null, jitterMs: null, loss: 0, steps: [], iceServers: [] };
  const endpoint = new URL(ENDPOINT, location.href).href;
  const session = new HttpSession({ endpoint, token, fetch: env.fetch });
  const relayed = way === "turn" ? { iceServers: servers, iceTransportPolicy: "relay" } : {};
  const peer = env.createPeer({ bundlePolicy: "max-bundle", ...relayed });
  try {
    for (const kind of ["audio", "video"]) peer.addTransceiver(kind, { direction: "recvonly" });
    const offer = await peer.createOffer();
    await peer.setLocalDescription(offer);
    const reply = await session.post(offer.sdp);
    found.iceServers = session.iceServers;
    const sdp = way === "turn" ? reply.sdp : onlyWay(reply.sdp, way);
    const began = env.now();
    await peer.setRemoteDescription({ type: "answer", sdp });
    found.ok = await isUp(peer, UP_MS);
    if (!found.ok) return found;
    found.connectMs = Math.round(env.now() - began);
    if (measure) await count(env, peer, found);
    return found;
  } finally {
    peer.close();
    await session.delete().catch(() => {}); // It ends by itself.
  }
}

function isUp(peer, limitMs) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), limitMs);
    peer.addEventListener("connectionstatechange", () => {
      if (peer.connectionState !== "connected" && peer.connectionState !== "failed") return;
      clearTimeout(timer);
      resolve(peer.connectionState === "connected");
    });
  });
}

async function count(env, peer, found) {
  const samples = [];
  const until = env.now() + TOTAL_MS + TAIL_MS;
  let video = {};
  while (env.now() < until) {
    const list = statsList(await peer.getStats());
    const pair = list.find((one) => one.type === "candidate-pair" && one.nominated) ?? {};
    video = list.find((one) => one.type === "inbound-rtp" && one.kind === "video") ?? video;
    if (video.packetsReceived > 0) {
      const bytes = (pair.bytesReceived ?? 0) + video.packetsReceived * HEADER_BYTES;
      const { packetsReceived: received, packetsLost: lost = 0 } = video;
      samples.push({ atMs: env.now(), bytes, received, lost });
    }
    if (pair.currentRoundTripTime !== undefined) found.rttMs = pair.currentRoundTripTime * 1000;
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  }
  found.steps = stepsOf(samples);
  found.loss = lossOf(video);
  found.jitterMs = video.jitter === undefined ? null : video.jitter * 1000;
}
