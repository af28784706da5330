/** A player that goes from relay to relay: hub.vn redirects to r1, and has named r1, r2 and r3. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Places } from "../../viewer_web/core/places.js";
import { WhepPlayer } from "../../viewer_web/rtc/whep_player.js";
import { FakeServer, fakeEnvironment, settle } from "./fakes.mjs";

const ENDPOINT = "https://hub.vn/whep/phien-hop";
const [HUB, R1, R2, R3] = ["https://hub.vn", "https://r1", "https://r2", "https://r3"];

/** Plays from r1, one second in. `live(ms, 0, -1)`: the first and the newest peer flow meanwhile. */
async function playing({ transport = 0 } = {}) {
  const server = new FakeServer();
  server.redirectTo = R1;
  const world = fakeEnvironment(server);
  const { createPeer } = world.env;
  world.env.createPeer = () => {
    const peer = createPeer();
    peer.media.transport = transport;
    return peer;
  };
  const places = new Places(ENDPOINT);
  places.take([R1, R2, R3]);
  const all = { ...world, server, shown: [], states: [], moved: 0 };
  all.player = new WhepPlayer({
    env: world.env,
    endpoint: ENDPOINT,
    token: "tok",
    places,
    surface: { show: (stream) => all.shown.push(stream) },
    on: {
      state: (state) => all.states.at(-1) === state || all.states.push(state),
      moved: () => (all.moved += 1),
    },
  });
  all.live = (ms, ...numbers) =>
    all.clock.run(ms, () => numbers.forEach((number) => all.peers.at(number).flow()));
  all.posts = () =>
    server.requests.filter((one) => one.method === "POST" && one.url.includes("/whep/"));
  all.asked = () => all.posts().map((one) => new URL(one.url).origin);
  all.player.start();
  await settle();
  await all.live(1000, 0);
  assert.equal(all.player.state, "playing");
  assert.equal(all.player.place, R1);
  server.requests.length = 0;
  return all;
}

test("a relay falls silent: within a second another serves, by way of the hub", async () => {
  const all = await playing();
  all.server.redirectTo = R2;
  await all.clock.run(1000);
  assert.equal(all.player.state, "reconnecting");
  assert.ok(all.player.moving);
  assert.deepEqual(all.asked(), [HUB, R2]);
  assert.equal(all.shown.length, 1, "the last picture stays");
  await all.live(500, 1);
  assert.equal(all.player.state, "playing");
  assert.equal(all.player.place, R2);
  assert.equal(all.shown.length, 2);
  assert.equal(all.server.count("DELETE", `${R1}/session/1`), 1);
  const [move] = all.player.log.moves;
  assert.deepEqual([move.reason, move.from, move.to], ["unreachable", R1, R2]);
  assert.ok(move.at_ms <= 2000 && move.took_ms <= 500, JSON.stringify(move));
  assert.equal(all.moved, 1);
  assert.ok(!all.player.moving);
});

test("the hub is dead too: the page goes on by its own list and token, not to the dead one", async () => {
  const all = await playing();
  all.server.dead.add(HUB).add(R1);
  await all.clock.run(1000);
  assert.deepEqual(all.asked(), [HUB, R2]);
  assert.equal(all.posts()[1].headers.Authorization, "Bearer tok");
  await all.live(500, -1);
  assert.equal(all.player.place, R2);
});

test("a hub that sends us back to a silent node gets company soon", async () => {
  const all = await playing();
  all.server.mute.add(R1);
  await all.clock.run(1300);
  assert.deepEqual(all.asked(), [HUB, R2]);
  await all.live(500, -1);
  assert.equal(all.player.place, R2);
});

test("events broken and a request refused: left at once, long before 700 ms", async () => {
  const all = await playing();
  all.server.dead.add(R1);
  all.server.redirectTo = R2;
  all.server.streams[0].end();
  await all.clock.run(250);
  assert.deepEqual(all.asked(), [HUB, R2]);
});

test("the same in a browser that does not count the transport's packets", async () => {
  const all = await playing({ transport: null });
  all.server.dead.add(R1);
  all.server.redirectTo = R2;
  all.server.streams[0].end();
  await all.clock.run(250);
  assert.deepEqual(all.asked(), [HUB, R2]);
});

test("events broken and a request refused, but media flows: the leg is kept", async () => {
  const all = await playing();
  all.server.dead.add(R1);
  all.server.streams[0].end();
  await all.live(5000, 0);
  assert.deepEqual(all.asked(), []);
  assert.deepEqual(all.states, ["connecting", "playing"]);
});

test("the old relay comes back to life before the new one plays: it is kept", async () => {
  const all = await playing();
  all.server.redirectTo = R2;
  await all.clock.run(1000);
  assert.equal(all.peers.length, 2);
  await all.live(750, 0);
  assert.equal(all.player.place, R1);
  assert.equal(all.player.state, "playing");
  assert.equal(all.server.count("DELETE", `${R2}/session/2`), 1);
  assert.equal(all.peers[1].connectionState, "closed");
  assert.equal(all.shown.length, 1);
  assert.deepEqual(all.player.log.moves, []);
  await all.live(10_000, 0);
  assert.deepEqual(all.asked(), [HUB, R2]);
});

test("a whole round has failed and the old relay comes back: the wait ends", async () => {
  const all = await playing();
  all.server.down = true;
  await all.clock.run(4000);
  assert.equal(all.player.state, "reconnecting");
  assert.ok(!all.player.moving, "the page does not promise another path for ever");
  await all.live(750, 0);
  assert.equal(all.player.state, "playing");
  const before = all.asked().length;
  await all.live(10_000, 0);
  assert.equal(all.asked().length, before);
});

test("the publisher is silent and the relay lives: nobody is asked, nothing is said", async () => {
  const all = await playing();
  await all.clock.run(5000, () => all.peers[0].rtcp());
  assert.deepEqual(all.asked(), []);
  assert.deepEqual(all.states, ["connecting", "playing"]);
});

test("a relay that dies while its publisher is away is left all the same", async () => {
  const all = await playing();
  all.server.streams[0].send("inactive", {});
  await all.clock.run(3000, () => all.peers[0].rtcp());
  assert.equal(all.player.state, "waiting");
  all.server.redirectTo = R2;
  await all.clock.run(1000);
  assert.deepEqual(all.asked(), [HUB, R2]);
});

test("a place that answers and sends no media is passed over for the next", async () => {
  const all = await playing();
  all.server.dead.add(HUB);
  await all.clock.run(1000);
  assert.deepEqual(all.asked(), [HUB, R2]);
  await all.clock.run(3100);
  assert.equal(all.asked()[3], R1, "the one that was dead is asked again, r2 is not");
  assert.equal(all.server.count("DELETE", `${R2}/session/2`), 1);
  await all.live(500, -1);
  assert.equal(all.player.state, "playing");
});

test("a computer that slept looks again before it leaves", async () => {
  const all = await playing();
  all.clock.nowMs += 3_600_000;
  await all.clock.run(300);
  assert.deepEqual(all.asked(), []);
  await all.live(2000, 0);
  assert.deepEqual(all.asked(), []);
  assert.equal(all.player.state, "playing");
});

test("timers held to one a second (page in the background) misjudge nothing", async () => {
  const all = await playing();
  all.player.stop();
  all.env.every = (_, action) => all.clock.every(1000, action);
  all.player.start();
  await settle();
  await all.live(2000, 1);
  all.server.requests.length = 0;
  await all.live(20_000, 1);
  assert.deepEqual(all.asked(), []);
});

test("asked to move to a named relay: the token goes there, the old one plays on", async () => {
  const all = await playing();
  all.server.streams[0].send("reconnect", { url: `${R3}/whep/phien-hop` });
  await settle();
  assert.deepEqual(all.asked(), [R3]);
  assert.equal(all.posts()[0].headers.Authorization, "Bearer tok");
  await all.live(1000, 0);
  assert.equal(all.player.place, R1);
  await all.live(500, 0, 1);
  assert.equal(all.player.place, R3);
  assert.deepEqual(all.states, ["connecting", "playing"]);
  assert.equal(all.player.log.recoveries, 0);
  assert.equal(all.player.log.moves[0].reason, "reconnect");
});

test("asked to move by ticket to a relay unheard of: no token goes there, ever", async () => {
  const all = await playing();
  all.server.streams[0].send("reconnect", { url: "https://new/whep/phien-hop?ticket=t" });
  await all.live(500, 0);
  await all.live(500, 0, 1);
  assert.equal(all.player.place, "https://new");
  await all.player.stop();
  const there = all.server.requests.filter((one) => one.url.startsWith("https://new/"));
  assert.ok(there.length >= 3, "POST, events, DELETE");
  assert.ok(there.every((one) => !one.headers.Authorization));
});

test("the relay that we are sent to fails: the others are asked while the old one plays", async () => {
  const all = await playing();
  all.server.dead.add(R3).add(HUB);
  all.server.streams[0].send("reconnect", { url: `${R3}/whep/phien-hop?ticket=t` });
  await all.live(300, 0);
  await all.live(500, 0, -1);
  assert.deepEqual(all.asked(), [R3, HUB, R1]);
  assert.equal(all.player.log.moves[0].to, R1);
  assert.deepEqual(all.states, ["connecting", "playing"]);
});

test("a reconnect without a URL that can be read asks the hub", async () => {
  for (const data of [{ url: "http://" }, { url: 7 }, null, "x"]) {
    const all = await playing();
    all.server.streams[0].send("reconnect", data);
    await all.live(300, 0);
    assert.equal(all.asked()[0], HUB);
  }
});

test("left and shown again while a search goes on: one new session, and it plays", async () => {
  const all = await playing();
  all.server.mute.add(HUB).add(R1).add(R2).add(R3);
  await all.clock.run(1000);
  void all.player.stop({ keepalive: true });
  all.server.mute.clear();
  all.player.start();
  await settle();
  await all.clock.run(1000, () => all.peers.at(-1).flow());
  assert.equal(all.player.state, "playing");
});
