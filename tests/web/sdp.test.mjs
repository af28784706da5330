import assert from "node:assert/strict";
import { test } from "node:test";

import {
  answerAfterRestart,
  attribute,
  restartFragment,
  withCodecParameters,
} from "../../viewer_web/core/sdp.js";

const section = (kind, mid, ufrag) => [
  `m=${kind} 9 UDP/TLS/RTP/SAVPF 111`,
  "c=IN IP4 0.0.0.0",
  `a=ice-ufrag:${ufrag}`,
  `a=ice-pwd:${ufrag.repeat(8)}`,
  `a=mid:${mid}`,
  "a=rtpmap:111 opus/48000/2",
  "a=fmtp:111 minptime=10;useinbandfec=0",
];
const sdp = (ufrag, extra = []) =>
  ["v=0", "s=-", ...section("audio", "0", ufrag), ...extra, ...section("video", "1", ufrag), ""].join(
    "\r\n",
  );

test("a restart fragment names the first section alone", () => {
  const fragment = restartFragment(sdp("NEWU"));
  assert.equal(attribute(fragment, "ice-ufrag"), "NEWU");
  assert.equal(attribute(fragment, "ice-pwd"), "NEWU".repeat(8));
  assert.equal(fragment.match(/^m=/gm).length, 1);
  assert.match(fragment, /^m=audio/m);
  assert.match(fragment, /a=mid:0\r\n/);
});

test("the answer takes the server's new credentials and candidates, and drops the old ones", () => {
  const before = sdp("OLDS", ["a=candidate:1 1 udp 1 10.0.0.1 5000 typ host", "a=end-of-candidates"]);
  const fragment =
    "a=ice-ufrag:SRVR\r\na=ice-pwd:secretsecretsecretsecret\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
    "a=candidate:1 1 udp 1 10.0.0.2 6000 typ host\r\n";
  const after = answerAfterRestart(before, fragment);
  assert.equal(after.match(/a=ice-ufrag:SRVR\r\n/g).length, 2);
  assert.equal(after.match(/10\.0\.0\.2 6000/g).length, 2);
  assert.doesNotMatch(after, /OLDS|10\.0\.0\.1|end-of-candidates/);
  assert.equal(after.match(/^m=/gm).length, 2);
});

test("a fragment without candidates leaves the known ones", () => {
  const before = sdp("OLDS", ["a=candidate:1 1 udp 1 10.0.0.1 5000 typ host"]);
  const after = answerAfterRestart(before, "a=ice-ufrag:SRVR\r\na=ice-pwd:x\r\n");
  assert.match(after, /10\.0\.0\.1 5000/);
});

test("fragments without credentials are refused", () => {
  assert.throws(() => answerAfterRestart(sdp("A"), "a=mid:0\r\n"), SyntaxError);
  assert.throws(() => restartFragment("v=0\r\n"), SyntaxError);
});

test("codec parameters are set without losing the others, and where there were none", () => {
  const after = withCodecParameters(sdp("A"), /^opus$/i, { useinbandfec: 1, usedtx: 0 });
  assert.match(after, /a=fmtp:111 minptime=10;useinbandfec=1;usedtx=0\r\n/);
  assert.equal(after.match(/a=fmtp/g).length, 2);
  const none = "v=0\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n";
  assert.equal(
    withCodecParameters(none, /^vp8$/i, { x: 1 }),
    "v=0\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 x=1\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n",
  );
  assert.equal(withCodecParameters("v=0\r\n", /^vp8$/i, { a: 1 }), "v=0\r\n");
});
