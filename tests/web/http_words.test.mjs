import assert from "node:assert/strict";
import { test } from "node:test";

import { eventsLink, iceServers, parseLinks } from "../../viewer_web/core/link_header.js";
import { detailOf, HttpProblem, reasonOf, retryAfterS } from "../../viewer_web/core/problem.js";

const HEADER =
  '<turn:a.vn:3478?transport=udp>; rel="ice-server"; username="u,\\"x"; credential="c"; ' +
  'credential-type="password", <stun:b.vn>; rel=ice-server, ' +
  '</whep/x/sse>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; events="active,inactive"';

test("ICE servers and the events extension out of one Link header", () => {
  const links = parseLinks(HEADER);
  assert.deepEqual(iceServers(links), [
    { urls: "turn:a.vn:3478?transport=udp", username: 'u,"x', credential: "c" },
    { urls: "stun:b.vn" },
  ]);
  assert.deepEqual(eventsLink(links), { target: "/whep/x/sse", events: ["active", "inactive"] });
});

test("links that do not parse end the header without an error", () => {
  assert.deepEqual(parseLinks("garbage <x>"), []);
  assert.deepEqual(parseLinks(null), []);
  assert.equal(eventsLink([]), null);
});

test("what each status means to a person", () => {
  const rows = [
    [0, "unreachable", false],
    [401, "denied", true],
    [403, "denied", true],
    [404, "missing", true],
    [409, "nobody_on_air", false],
    [422, "rejected", true],
    [429, "busy", false],
    [500, "server", false],
    [503, "busy", false],
  ];
  for (const [status, reason, final] of rows) {
    assert.equal(reasonOf(status), reason);
    assert.equal(new HttpProblem(status, "").final, final);
  }
});

test("Retry-After as seconds, as a date, and as nonsense", () => {
  const now = Date.parse("2026-06-16T08:00:00Z");
  assert.equal(retryAfterS("3", now), 3);
  assert.equal(retryAfterS("Tue, 16 Jun 2026 08:00:05 GMT", now), 5);
  assert.equal(retryAfterS("Tue, 16 Jun 2026 07:00:00 GMT", now), 0);
  for (const bad of [null, "", "soon"]) assert.equal(retryAfterS(bad, now), null);
});

test("the sentence of a problem body, and no page of HTML", () => {
  const body = '{"title":"Conflict","detail":"Phường chưa phát."}';
  assert.equal(detailOf("application/problem+json", body), "Phường chưa phát.");
  assert.equal(detailOf("text/plain", "busy"), "busy");
  assert.equal(detailOf("text/html", "<html>502</html>"), "");
  assert.equal(detailOf("application/json", "{broken"), "");
});
