import assert from "node:assert/strict";
import { test } from "node:test";

import { LinkWatch } from "../../viewer_web/core/link_watch.js";
import { withFeedback } from "../../viewer_web/core/sdp.js";
import { WhepPlayer } from "../../viewer_web/rtc/whep_player.js";
import { fakeEnvironment, FakeServer, settle } from "./fakes.mjs";

const AUDIO_ONLY = { state: "audio-only", rid: null, reason: "line", estimate_kbps: 60 };
const FULL = { state: "full", rid: "h", reason: "publisher", estimate_kbps: null };

/** Sound, and the padding by which the node probes the line: video packets without a frame. */
function voice(peer) {
  peer.media.audio += 3;
  peer.media.video += 1;
}

async function playing() {
  const server = new FakeServer();
  const world = fakeEnvironment(server);
  const shown = [];
  const player = new WhepPlayer({
    env: world.env,
    endpoint: "https://hub.vn/whep/phien-hop",
    token: "tok",
    surface: { show: (stream) => shown.push(stream) },
  });
  player.start();
  await settle();
  await world.clock.run(1000, () => world.peers[0].flow());
  return { server, player, shown, ...world };
}

test("voice alone by the node's word is a working link, probes or not", async () => {
  const { server, player, shown, clock, peers } = await playing();
  server.streams[0].send("line", AUDIO_ONLY);
  await clock.run(30_000, () => voice(peers[0]));
  assert.equal(player.state, "playing");
  assert.equal(player.leg.line, "audio-only");
  assert.deepEqual(player.log.entries, []);
  assert.deepEqual([shown.length, server.count("POST", "/whep/")], [1, 1]);
});

test("once the picture is promised again, its absence counts again", async () => {
  const { server, player, clock, peers } = await playing();
  server.streams[0].send("line", AUDIO_ONLY);
  await clock.run(10_000, () => voice(peers[0]));
  server.streams[0].send("line", FULL);
  await clock.run(2500, () => voice(peers[0]));
  assert.equal(player.state, "playing");
  await clock.run(1500, () => voice(peers[0]));
  assert.equal(player.state, "frozen");
});

test("sound that stops too is a dead link whatever the node said", async () => {
  const { server, player, clock, peers } = await playing();
  server.streams[0].send("line", AUDIO_ONLY);
  await clock.run(3000, () => voice(peers[0]));
  await clock.run(2000);
  assert.equal(player.state, "reconnecting");
});

test("a move to another node ends when its voice is there", async () => {
  const { server, player, shown, clock, peers } = await playing();
  server.streams[0].send("line", AUDIO_ONLY);
  server.streams[0].send("reconnect", { url: "https://hub.vn/whep/other" });
  await clock.run(500, () => voice(peers[0]));
  server.streams[1].send("line", AUDIO_ONLY);
  await clock.run(500, () => peers.forEach(voice));
  assert.equal(shown.length, 2);
  assert.equal(player.sessionId, "2");
  assert.equal(server.count("DELETE", "/session/1"), 1);
});

test("frames that stand still are no verdict while sound alone is sent", () => {
  const watch = new LinkWatch();
  let verdict = null;
  for (let step = 0; step < 40; step += 1) {
    const sample = { packets: step * 5, videoPackets: step, frames: 9, voiceOnly: true };
    verdict = watch.sample(sample, step * 250);
  }
  assert.equal(verdict.kind, "flowing");
});

test("Opus takes NACK, RED stays offered, and nothing is said twice", () => {
  const offer = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 63",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=fmtp:63 111/111",
    "",
  ].join("\r\n");
  const asked = withFeedback(offer, /^opus$/i, "nack");
  assert.ok(asked.includes("a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\n"));
  assert.ok(asked.includes("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
  assert.equal(asked.match(/ nack\r\n/g).length, 1);
  assert.equal(withFeedback(asked, /^opus$/i, "nack"), asked);
});
