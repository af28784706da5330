/**
 * A peer gathers once its local description is applied, and must know the TURN servers by then
 * (RFC 9725 section 4.6). The offer itself needs no candidate of ours, since the server learns our
 * address from STUN: it is posted at once, and gathering begins as soon as OPTIONS or the answer
 * to the POST, whichever comes first, has named the servers.
 */

/**
 * Make an offer, post it, apply it.
 * @param {RTCPeerConnection} peer
 * @param {import("./http_session.js").HttpSession} session
 * @param {AbortSignal} signal
 * @param {(sdp: string) => string} [asking] what the offer asks beside what the browser does
 * @returns {Promise<{kind: "answer"|"counter_offer", sdp: string}>} throws HttpProblem
 */
export async function postOffer(peer, session, signal, asking = (sdp) => sdp) {
  const asked = session.askIceServers(signal);
  const { sdp, type } = await peer.createOffer();
  const offer = { type, sdp: asking(sdp) };
  let applied = null;
  let over = false;
  const apply = (servers) => (applied ??= applyLocal(peer, offer, servers, sdp));
  void asked.then((servers) => {
    // A failure is seen by whoever applies the answer.
    if (servers !== null && !over) apply(servers).catch(() => {});
  });
  try {
    const reply = await session.post(offer.sdp, signal);
    if (reply.kind === "answer") await apply(session.iceServers);
    return reply;
  } finally {
    over = true;
  }
}

/**
 * @param {RTCPeerConnection} peer
 * @param {RTCSessionDescriptionInit} local
 * @param {RTCIceServer[]} iceServers
 * @param {string} [made] the browser's own SDP, for one that takes no other
 */
export async function applyLocal(peer, local, iceServers, made = local.sdp) {
  if (iceServers.length > 0) useServers(peer, iceServers);
  try {
    await peer.setLocalDescription(local);
  } catch (error) {
    if (made === local.sdp) throw error;
    await peer.setLocalDescription({ type: local.type, sdp: made });
  }
}

function useServers(peer, iceServers) {
  try {
    peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
  } catch {
    // A URI that this browser does not take must not cost the direct paths.
  }
}
