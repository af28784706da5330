/** One plain word for the viewer's line, from its own figures. */

/** @returns {"none"|"voice"|"good"|"fair"|"bad"} */
export function lineWord(digest, rates) {
  if (digest.packetsReceived === 0 || rates.bitrateBps === 0) return "none";
  if (digest.framesDecoded === 0 && digest.videoPackets === 0) return "voice";
  const loss = rates.lossRatio ?? 0;
  const rttS = digest.roundTripTime ?? 0;
  const concealed = rates.concealedRatio ?? 0;
  if (loss > 0.05 || rttS > 0.6 || concealed > 0.05) return "bad";
  return loss > 0.01 || rttS > 0.3 || concealed > 0.01 ? "fair" : "good";
}
