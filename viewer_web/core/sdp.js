/** The few places where a page must look into SDP: ICE fragments and Opus parameters. */

const lines = (sdp) => sdp.split(/\r?\n/).filter(Boolean);

/** First value of `a=<name>:`, or null. */
export function attribute(sdp, name) {
  const prefix = `a=${name}:`;
  const line = lines(sdp).find((one) => one.startsWith(prefix));
  return line === undefined ? null : line.slice(prefix.length).trim();
}

/**
 * Body of an ICE restart PATCH (RFC 8840, RFC 9725 section 4.3.3): the new credentials under the
 * offerer-tagged m-line.
 */
export function restartFragment(offerSdp) {
  const ufrag = attribute(offerSdp, "ice-ufrag");
  const pwd = attribute(offerSdp, "ice-pwd");
  const media = lines(offerSdp).find((line) => line.startsWith("m="));
  if (!ufrag || !pwd || !media) throw new SyntaxError("the offer has no ICE credentials");
  const mid = attribute(offerSdp, "mid");
  return [
    "a=ice-options:trickle",
    `a=group:BUNDLE ${mid ?? "0"}`,
    media,
    `a=mid:${mid ?? "0"}`,
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    "",
  ].join("\r\n");
}

/**
 * The earlier answer with the server's new credentials and candidates in every m-section.
 * Throws SyntaxError if the fragment has no credentials.
 */
export function answerAfterRestart(answerSdp, fragment) {
  const ufrag = attribute(fragment, "ice-ufrag");
  const pwd = attribute(fragment, "ice-pwd");
  if (!ufrag || !pwd) throw new SyntaxError("the fragment has no ICE credentials");
  const candidates = lines(fragment).filter((line) => line.startsWith("a=candidate:"));
  const replaced = candidates.length > 0 ? /^a=(candidate:|end-of-candidates)/ : null;
  const result = [];
  for (const line of lines(answerSdp)) {
    if (replaced?.test(line)) continue;
    if (line.startsWith("a=ice-ufrag:")) result.push(`a=ice-ufrag:${ufrag}`);
    else if (line.startsWith("a=ice-pwd:")) result.push(`a=ice-pwd:${pwd}`, ...candidates);
    else result.push(line);
  }
  return result.join("\r\n") + "\r\n";
}

/** Offer or answer with these Opus format parameters set, e.g. {useinbandfec: 1, stereo: 0}. */
export function withOpusParameters(sdp, parameters) {
  const opus = lines(sdp).find((line) => /^a=rtpmap:\d+ opus\//i.test(line));
  if (!opus) return sdp;
  const type = /\d+/.exec(opus)[0];
  const prefix = `a=fmtp:${type} `;
  const before = lines(sdp).find((line) => line.startsWith(prefix));
  const pairs = new Map(
    (before?.slice(prefix.length) ?? "")
      .split(";")
      .map((pair) => pair.trim())
      .filter(Boolean)
      .map((pair) => pair.split("=")),
  );
  for (const [key, value] of Object.entries(parameters)) pairs.set(key, String(value));
  const fmtp = prefix + [...pairs].map((pair) => pair.join("=")).join(";");
  const result = lines(sdp).filter((line) => line !== before);
  result.splice(result.indexOf(opus) + 1, 0, fmtp);
  return result.join("\r\n") + "\r\n";
}
