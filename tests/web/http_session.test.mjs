import assert from "node:assert/strict";
import { test } from "node:test";

import { HttpProblem } from "../../viewer_web/core/problem.js";
import { HttpSession } from "../../viewer_web/rtc/http_session.js";
import { FakeServer, reply } from "./fakes.mjs";

const ENDPOINT = "https://hub.vn/whep/phien-hop";
const scripted = (...responses) => {
  const requests = [];
  const fetch = async (url, init) => {
    requests.push({ url, ...init });
    return responses.shift();
  };
  return { requests, fetch };
};
const open = (fetch) => new HttpSession({ endpoint: ENDPOINT, token: "tok", fetch });

test("201: the session URL, ETag and events link; the token on every request", async () => {
  const server = new FakeServer();
  const session = open(server.fetch);
  const answer = await session.post("offer");
  assert.equal(answer.kind, "answer");
  assert.equal(session.url, "https://hub.vn/session/1");
  assert.equal(session.id, "1");
  assert.deepEqual(session.events.target, "https://hub.vn/session/1/sse");
  await session.restartIce("fragment");
  assert.equal(session.etag, '"e2"');
  await session.delete();
  const [post, patch, del] = server.requests;
  assert.equal(post.headers["Content-Type"], "application/sdp");
  assert.equal(patch.headers["If-Match"], '"*"');
  assert.equal(patch.headers["Content-Type"], "application/trickle-ice-sdpfrag");
  assert.ok([post, patch, del].every((one) => one.headers.Authorization === "Bearer tok"));
});

test("trickle names the ETag of its ICE session", async () => {
  const { requests, fetch } = scripted(
    reply(201, "a", { "Content-Type": "application/sdp", Location: "/s/1", ETag: '"x"' }),
    reply(204, ""),
  );
  const session = open(fetch);
  await session.post("offer");
  await session.trickle("fragment");
  assert.equal(requests[1].headers["If-Match"], '"x"');
});

test("406 with an SDP is an offer to answer; without it, a refusal", async () => {
  const { requests, fetch } = scripted(
    reply(406, "their offer", { "Content-Type": "application/sdp", Location: "/s/2" }),
    reply(204, ""),
  );
  const session = open(fetch);
  assert.deepEqual(await session.post("offer"), { kind: "counter_offer", sdp: "their offer" });
  await session.answer("our answer");
  assert.equal(requests[1].headers["Content-Type"], "application/sdp");
  assert.ok(!("If-Match" in requests[1].headers));
  await assert.rejects(open(scripted(reply(406, "")).fetch).post("x"), { status: 406 });
});

test("a session on a relay of another origin never sees the token", async () => {
  const created = reply(201, "answer", {
    "Content-Type": "application/sdp",
    Location: "https://relay.vn/s/3?ticket=t",
  });
  const { requests, fetch } = scripted(created, reply(200, ""));
  const session = open(fetch);
  await session.post("offer");
  await session.delete();
  assert.equal(requests[1].url, "https://relay.vn/s/3?ticket=t");
  assert.ok(!("Authorization" in requests[1].headers));
});

test("refusals carry status, sentence and Retry-After", async () => {
  const body = '{"detail":"Phường chưa phát."}';
  const headers = { "Content-Type": "application/problem+json", "Retry-After": "2" };
  await assert.rejects(open(scripted(reply(409, body, headers)).fetch).post("x"), (problem) => {
    assert.ok(problem instanceof HttpProblem);
    assert.deepEqual([problem.reason, problem.detail, problem.retryAfterS],
      ["nobody_on_air", "Phường chưa phát.", 2]);
    return true;
  });
});

test("a 201 without Location or SDP is a bad answer; no network is status 0", async () => {
  await assert.rejects(open(scripted(reply(201, "x")).fetch).post("x"), { status: 502 });
  const session = open(async () => {
    throw new TypeError("failed to fetch");
  });
  await assert.rejects(session.post("x"), { status: 0 });
});

test("an empty PATCH says whether the session lives; DELETE of a lost one is no error", async () => {
  const server = new FakeServer();
  const session = open(server.fetch);
  await session.post("offer");
  assert.equal(await session.isAlive("f"), true);
  server.sessions.clear();
  assert.equal(await session.isAlive("f"), false);
  await session.delete();
  await session.delete();
  assert.equal(server.count("DELETE"), 1);
});
