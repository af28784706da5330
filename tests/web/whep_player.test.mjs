import assert from "node:assert/strict";
import { test } from "node:test";

import { WhepPlayer } from "../../viewer_web/rtc/whep_player.js";
import { FakeServer, fakeEnvironment, reply, settle } from "./fakes.mjs";

/** A player on a fake server, with what it showed. */
function setUp() {
  const server = new FakeServer();
  const world = fakeEnvironment(server);
  const shown = [];
  const states = [];
  const player = new WhepPlayer({
    env: world.env,
    endpoint: "https://hub.vn/whep/phien-hop",
    token: "tok",
    surface: { show: (stream) => shown.push(stream) },
    on: { state: (state) => states.at(-1) === state || states.push(state) },
  });
  return { server, player, shown, states, ...world, peers: world.peers };
}

/** A player that plays, one second in. */
async function playing() {
  const all = setUp();
  all.player.start();
  await settle();
  await all.clock.run(1000, () => all.peers[0].flow());
  assert.equal(all.player.state, "playing");
  return all;
}

test("connects and plays: one POST, both kinds received, the first stream shown at once", async () => {
  const { server, player, shown, peers, states } = await playing();
  assert.equal(server.count("POST", "/whep/"), 1);
  assert.deepEqual(peers[0].calls.slice(0, 2), [
    ["addTransceiver", "audio", "recvonly"],
    ["addTransceiver", "video", "recvonly"],
  ]);
  assert.equal(shown.length, 1);
  assert.equal(shown[0].tracks.length, 2);
  assert.deepEqual(states, ["connecting", "playing"]);
  assert.equal(player.sessionId, "1");
});

test("409: waits as long as the server says, then plays by itself", async () => {
  const all = setUp();
  all.server.refuse = reply(409, "", { "Retry-After": "2" });
  all.player.start();
  await settle();
  assert.equal(all.player.state, "waiting");
  await all.clock.run(2000);
  assert.equal(all.server.count("POST", "/whep/"), 1);
  all.server.refuse = null;
  await all.clock.run(1000);
  await all.clock.run(1000, () => all.peers.at(-1).flow());
  assert.equal(all.player.state, "playing");
});

test("a refused link shows it, and is asked again only after half a minute", async () => {
  const all = setUp();
  all.server.refuse = reply(401, "");
  all.player.start();
  await settle();
  assert.equal(all.player.state, "denied");
  all.server.refuse = reply(401, "");
  await all.clock.run(29_000);
  assert.equal(all.server.count("POST", "/whep/"), 1);
  await all.clock.run(3000);
  assert.equal(all.server.count("POST", "/whep/"), 2);
});

test("packets stop: the sentence at 1.5 s, ICE restart, and the same session goes on", async () => {
  const all = await playing();
  await all.clock.run(1400);
  assert.equal(all.player.state, "playing");
  await all.clock.run(600);
  assert.equal(all.player.state, "reconnecting");
  await all.clock.run(1200);
  assert.equal(all.server.count("PATCH"), 1);
  assert.match(all.peers[0].remote, /a=ice-ufrag:n\r\n/);
  await all.clock.run(1000, () => all.peers[0].flow());
  assert.equal(all.player.state, "playing");
  assert.equal(all.server.count("POST", "/whep/"), 1);
  assert.equal(all.player.log.recoveries, 1);
});

test("ICE restart does not help: a new session, shown when it decodes, the old one deleted", async () => {
  const all = await playing();
  await all.clock.run(5500);
  assert.equal(all.server.count("POST", "/whep/"), 2);
  assert.equal(all.shown.length, 1, "the last picture stays until the new leg has one");
  await all.clock.run(1000, () => all.peers[1].flow());
  assert.equal(all.player.state, "playing");
  assert.equal(all.shown.length, 2);
  assert.equal(all.server.count("DELETE", "/session/1"), 1);
  assert.equal(all.peers[0].connectionState, "closed");
});

test("server restart: the PATCH finds no session, so a new one is made at once", async () => {
  const all = await playing();
  all.server.sessions.clear();
  await all.clock.run(2600);
  assert.equal(all.server.count("POST", "/whep/"), 2);
});

test("server down: tries again with backoff until it answers", async () => {
  const all = await playing();
  all.server.down = true;
  await all.clock.run(20_000);
  assert.equal(all.player.state, "reconnecting");
  const tries = all.server.count("POST", "/whep/");
  assert.ok(tries >= 5 && tries <= 12, String(tries));
  all.server.down = false;
  await all.clock.run(5000);
  await all.clock.run(1000, () => all.peers.at(-1).flow());
  assert.equal(all.player.state, "playing");
});

test("a nudge ends the wait", async () => {
  const all = await playing();
  all.server.down = true;
  await all.clock.run(20_000);
  all.server.down = false;
  const before = all.server.count("POST", "/whep/");
  all.player.nudge("visible");
  await settle();
  assert.equal(all.server.count("POST", "/whep/"), before + 1);
});

test("publisher gone: no request but gentle checks, and the same session resumes", async () => {
  const all = await playing();
  await settle();
  all.server.streams[0].send("inactive", {});
  await settle();
  assert.equal(all.player.state, "waiting");
  await all.clock.run(30_000);
  const restarts = all.server.requests.filter((one) => one.headers["If-Match"] === '"*"');
  assert.equal(restarts.length, 0);
  assert.equal(all.server.count("POST", "/whep/"), 1);
  assert.ok(all.server.count("PATCH", "/session/1") <= 4);
  all.server.streams[0].send("active", {});
  await settle();
  await all.clock.run(1000, () => all.peers[0].flow());
  assert.equal(all.player.state, "playing");
  assert.equal(all.peers.length, 1);
});

test("publisher gone and the server restarted meanwhile: noticed by the next check", async () => {
  const all = await playing();
  all.server.streams[0].send("inactive", {});
  await settle();
  all.server.sessions.clear();
  all.server.refuse = reply(409, "", { "Retry-After": "1" });
  await all.clock.run(16_000);
  assert.equal(all.player.state, "waiting");
  assert.ok(all.server.count("POST", "/whep/") >= 2);
});

test("publisher gone, then the server too: the page reconnects instead of waiting", async () => {
  const all = await playing();
  all.server.streams[0].send("inactive", {});
  await settle();
  all.server.down = true;
  all.server.streams[0].end();
  await all.clock.run(3000);
  assert.equal(all.player.state, "reconnecting");
  all.server.down = false;
  await all.clock.run(9000, () => all.peers.at(-1).flow());
  assert.equal(all.player.state, "playing");
});

test("a frozen decoder: the same tracks in a new stream, then a new session", async () => {
  const all = await playing();
  await all.clock.run(3500, () => all.peers[0].flow({ decode: false }));
  assert.equal(all.player.state, "frozen");
  assert.equal(all.shown.length, 2);
  assert.equal(all.server.count("POST", "/whep/"), 1);
  await all.clock.run(2500, () => all.peers[0].flow({ decode: false }));
  assert.equal(all.server.count("POST", "/whep/"), 2);
});

test("reconnect event: the new leg decodes before the old is let go", async () => {
  const all = await playing();
  all.server.streams[0].send("reconnect", { url: "https://hub.vn/whep/other" });
  await settle();
  assert.equal(all.server.count("POST", "/whep/other"), 1);
  await all.clock.run(1000, () => all.peers[0].flow());
  assert.equal(all.shown.length, 1);
  assert.equal(all.server.count("DELETE"), 0);
  await all.clock.run(500, () => all.peers[1].flow());
  assert.equal(all.shown.length, 2);
  assert.equal(all.server.count("DELETE", "/session/1"), 1);
  assert.deepEqual(all.states, ["connecting", "playing"]);
});

test("revoked while it plays: the page says so and the dead leg does not talk it away", async () => {
  const all = await playing();
  all.server.sessions.clear();
  all.server.refuse = reply(401, "");
  all.server.streams[0].end();
  const event = new Event("connectionstatechange");
  all.peers[0].connectionState = "failed";
  all.peers[0].dispatchEvent(event);
  await settle();
  assert.equal(all.player.state, "denied");
  await all.clock.run(5000);
  assert.equal(all.player.state, "denied");
});

test("the last packets of a revoked session do not talk the refusal away", async () => {
  const all = await playing();
  all.server.sessions.clear();
  all.server.refuse = reply(401, "");
  all.server.streams[0].end();
  await settle();
  assert.equal(all.player.state, "denied");
  all.peers[0].flow();
  await all.clock.run(5000);
  assert.equal(all.player.state, "denied");
});

test("server restarted without a publisher: the page waits and does not flicker", async () => {
  const all = await playing();
  all.server.sessions.clear();
  const refused = () => reply(409, "", { "Retry-After": "1" });
  all.server.refuse = refused();
  await all.clock.run(3000);
  all.states.length = 0;
  await all.clock.run(10_000, () => (all.server.refuse = refused()));
  assert.equal(all.player.state, "waiting");
  assert.ok(all.states.length <= 1, all.states.join());
});

test("a move that fails does not disturb the picture", async () => {
  const all = await playing();
  all.server.refuse = reply(503, "");
  all.server.streams[0].send("reconnect", {});
  await settle();
  await all.clock.run(1000, () => all.peers[0].flow());
  assert.equal(all.player.state, "playing");
});

test("stop deletes the session and takes no more notice of anything", async () => {
  const all = await playing();
  await all.player.stop({ keepalive: true });
  assert.equal(all.server.requests.at(-1).keepalive, true);
  const before = all.server.requests.length;
  await all.clock.run(20_000);
  all.player.nudge("online");
  assert.equal(all.server.requests.length, before);
  assert.equal(all.player.state, "stopped");
});

test("406: a fresh peer answers the server's offer", async () => {
  const all = setUp();
  const headers = { "Content-Type": "application/sdp", Location: "/session/9" };
  all.server.refuse = reply(406, "v=0\r\ntheir offer\r\n", headers);
  all.server.sessions.add("/session/9");
  all.player.start();
  await settle();
  assert.equal(all.peers.length, 2);
  const patch = all.server.requests.find((one) => one.method === "PATCH");
  assert.equal(patch.body, "v=0\r\nour answer\r\n");
});
