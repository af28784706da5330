/**
 * Our description is applied when the server has answered: a peer gathers from then on, and must
 * know the TURN servers that the answer names (RFC 9725 section 4.6). An offer needs no candidate
 * of ours, since the server learns our address from STUN; so nothing is lost by the wait.
 */

/**
 * @param {RTCPeerConnection} peer
 * @param {RTCSessionDescriptionInit} local
 * @param {RTCIceServer[]} iceServers
 */
export async function applyLocal(peer, local, iceServers) {
  if (iceServers.length > 0) useServers(peer, iceServers);
  await peer.setLocalDescription(local);
}

function useServers(peer, iceServers) {
  try {
    peer.setConfiguration({ ...peer.getConfiguration(), iceServers });
  } catch {
    // A URI that this browser does not take must not cost the direct paths.
  }
}
