/** The few places where a page must look into SDP: ICE fragments and codec parameters. */

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

/** A description in which codecs of that name take this RTCP feedback too (RFC 4585). */
export function withFeedback(sdp, name, feedback) {
  const all = lines(sdp);
  const result = [];
  for (const line of all) {
    result.push(line);
    const [, type, codec] = /^a=rtpmap:(\d+) ([^/]+)\//.exec(line) ?? [];
    const wanted = `a=rtcp-fb:${type} ${feedback}`;
    if (codec && name.test(codec) && !all.includes(wanted)) result.push(wanted);
  }
  return result.join("\r\n") + "\r\n";
}

/**
 * A description with these format parameters set on every codec of that name, the others kept:
 * withCodecParameters(sdp, /^opus$/i, {useinbandfec: 1}).
 */
export function withCodecParameters(sdp, name, parameters) {
  const all = lines(sdp);
  const types = new Set(
    all
      .map((line) => /^a=rtpmap:(\d+) ([^/]+)\//.exec(line))
      .filter((match) => match && name.test(match[2]))
      .map((match) => match[1]),
  );
  const formats = new Map(
    all.map((line) => /^a=fmtp:(\d+) (.*)$/.exec(line)).filter(Boolean).map((m) => [m[1], m[2]]),
  );
  const result = [];
  for (const line of all) {
    const type = /^a=(?:rtpmap|fmtp):(\d+) /.exec(line)?.[1];
    if (types.has(type) && line.startsWith("a=fmtp:")) continue;
    result.push(line);
    if (types.has(type)) result.push(`a=fmtp:${type} ${merged(formats.get(type), parameters)}`);
  }
  return result.join("\r\n") + "\r\n";
}

function merged(format = "", parameters) {
  const pairs = format.split(";").map((pair) => pair.trim().split("=")).filter(([key]) => key);
  const all = new Map([...pairs, ...Object.entries(parameters)]);
  return [...all].map(([key, value]) => (value === undefined ? key : `${key}=${value}`)).join(";");
}
