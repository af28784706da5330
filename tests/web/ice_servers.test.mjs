import assert from "node:assert/strict";
import { test } from "node:test";

import { WhepLeg } from "../../viewer_web/rtc/whep_leg.js";
import { WhipLeg } from "../../viewer_web/rtc/whip_leg.js";
import { ANSWER, fakeEnvironment, FakeServer, reply, settle } from "./fakes.mjs";

const where = { endpoint: "https://hub.vn/whep/phien-hop", token: "tok" };
const link = (end) =>
  `<turn:t.vn:443?transport=tcp>; rel="ice-server"; username="${end}:an-phu"; credential="c${end}"; credential-type="password"`;
const server = (end) => ({
  urls: "turn:t.vn:443?transport=tcp",
  username: `${end}:an-phu`,
  credential: `c${end}`,
});

/** A node that names its TURN server, with another credential each time. */
class TurningServer extends FakeServer {
  tells = true;
  #told = 0;

  get fetch() {
    const inner = super.fetch;
    return async (url, init) => {
      const response = await inner(url, init);
      const told = response.headers.has("ETag");
      if (this.tells && told) response.headers.append("Link", link((this.#told += 1)));
      return response;
    };
  }
}

const calls = (peer, ...names) => peer.calls.filter(([name]) => names.includes(name));
const steps = (peer) => calls(peer, "setConfiguration", "setLocalDescription");

function withResolvers() {
  let resolve;
  const promise = new Promise((settled) => (resolve = settled));
  return { promise, resolve };
}

const said = (...links) => {
  const response = reply(200, "");
  for (const one of links) response.headers.append("Link", one);
  return response;
};

/** A leg whose node answers OPTIONS so, and POST when the test says so. */
function opening(options, answer = new FakeServer()) {
  const release = withResolvers();
  const fetch = async (url, init) => {
    if (init.method === "OPTIONS") return options;
    if (init.method === "POST" && url === where.endpoint) await release.promise;
    return answer.fetch(url, init);
  };
  const { env, peers } = fakeEnvironment({ fetch });
  const leg = new WhepLeg(env, where);
  return { leg, peers, opened: leg.open(), release: release.resolve };
}

test("gathering begins with what OPTIONS names, while the POST is on its way", async () => {
  const { peers, opened, release } = opening(said(link(5)), new TurningServer());
  await settle();
  const early = [
    ["setConfiguration", [server(5)]],
    ["setLocalDescription", "offer"],
  ];
  assert.deepEqual(steps(peers[0]), early);
  release();
  await opened;
  assert.deepEqual(steps(peers[0]), early);
  assert.equal(peers[0].remote, ANSWER);
});

test("OPTIONS that names none is an answer too", async () => {
  const { peers, opened, release } = opening(said());
  await settle();
  assert.deepEqual(steps(peers[0]), [["setLocalDescription", "offer"]]);
  release();
  await opened;
});

for (const [name, options] of [
  ["that is refused", async () => reply(401, "")],
  ["that fails", async () => Promise.reject(new TypeError("failed to fetch"))],
  ["that nobody answers", () => new Promise(() => {})],
]) {
  test(`OPTIONS ${name} holds nothing up`, async () => {
    const { peers, opened, release } = opening(options(), new TurningServer());
    await settle();
    assert.deepEqual(steps(peers[0]), []);
    release();
    await opened;
    assert.deepEqual(steps(peers[0])[0], ["setConfiguration", [server(1)]]);
    assert.equal(peers[0].remote, ANSWER);
  });
}

test("OPTIONS that comes after a refusal starts nothing", async () => {
  const options = withResolvers();
  const node = new FakeServer();
  node.refuse = reply(403, "");
  const { peers, opened, release } = opening(options.promise, node);
  release();
  await assert.rejects(opened, { status: 403 });
  options.resolve(said(link(5)));
  await settle();
  assert.deepEqual(steps(peers[0]), []);
});

test("OPTIONS carries the token, and nothing else", async () => {
  const node = new FakeServer();
  const { env } = fakeEnvironment(node);
  await new WhepLeg(env, where).open();
  const [asked] = node.requests.filter((one) => one.method === "OPTIONS");
  assert.deepEqual(asked.headers, { Authorization: "Bearer tok" });
  assert.equal(asked.url, where.endpoint);
});

test("a viewer gathers once the answer has named the TURN servers", async () => {
  const node = new TurningServer();
  const { env, peers } = fakeEnvironment(node);
  await new WhepLeg(env, where).open();
  assert.deepEqual(steps(peers[0]), [
    ["setConfiguration", [server(1)]],
    ["setLocalDescription", "offer"],
  ]);
  assert.equal(peers[0].remote, ANSWER);
});

test("a publisher too", async () => {
  const { env, peers } = fakeEnvironment(new TurningServer());
  env.createPeer = ((create) => () => Object.assign(create(), { getSenders: () => [] }))(
    env.createPeer,
  );
  await new WhipLeg(env, where).open({ getTracks: () => [] }, { codec: "vp8", layersBps: {} });
  assert.deepEqual(steps(peers[0]), [
    ["setConfiguration", [server(1)]],
    ["setLocalDescription", "offer"],
  ]);
});

test("without TURN servers nothing is configured", async () => {
  const { env, peers } = fakeEnvironment(new FakeServer());
  await new WhepLeg(env, where).open();
  assert.deepEqual(steps(peers[0]), [["setLocalDescription", "offer"]]);
});

test("an ICE restart gathers with the credentials that come with it", async () => {
  const { env, peers } = fakeEnvironment(new TurningServer());
  const leg = new WhepLeg(env, where);
  await leg.open();
  await leg.restartIce();
  assert.deepEqual(steps(peers[0]).slice(2), [
    ["setConfiguration", [server(2)]],
    ["setLocalDescription", "offer"],
  ]);
});

test("a node that names none at a restart leaves those that we have", async () => {
  const node = new TurningServer();
  const { env } = fakeEnvironment(node);
  const leg = new WhepLeg(env, where);
  await leg.open();
  node.tells = false;
  await leg.restartIce();
  assert.deepEqual(leg.session.iceServers, [server(1)]);
});

test("a restart that is refused leaves the peer as it was", async () => {
  const node = new TurningServer();
  const { env, peers } = fakeEnvironment(node);
  const leg = new WhepLeg(env, where);
  await leg.open();
  const before = steps(peers[0]).length;
  node.restartStatus = 503;
  await assert.rejects(leg.restartIce(), { status: 503 });
  assert.equal(steps(peers[0]).length, before);
  assert.equal(peers[0].signalingState, "stable");
});

test("a counter-offer is answered with its servers", async () => {
  const posts = [
    reply(406, "their offer", {
      "Content-Type": "application/sdp",
      Location: "/session/9",
      Link: link(7),
    }),
    reply(204, ""),
  ];
  const { env, peers } = fakeEnvironment({ 
    fetch: async (_, { method }) => (method === "OPTIONS" ? reply(401, "") : posts.shift()),
  });
  await new WhepLeg(env, where).open();
  assert.deepEqual(steps(peers[1]), [
    ["setConfiguration", [server(7)]],
    ["setLocalDescription", "answer"],
  ]);
});

test("a URI that the browser refuses costs no direct path", async () => {
  const { env, peers } = fakeEnvironment(new TurningServer());
  const create = env.createPeer;
  env.createPeer = () => Object.assign(create(), { refusesServers: true });
  await new WhepLeg(env, where).open();
  assert.equal(peers[0].remote, ANSWER);
});
