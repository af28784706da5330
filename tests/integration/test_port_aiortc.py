"""A peer that is not ours: aiortc's ICE and DTLS transports against a port."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceParameters, RTCIceTransport
from aiortc.sdp import candidate_from_sdp

from relay.transport import CloseReason, MediaPort, PeerParameters
from relay.transport.candidate import machine_addresses
from relay.transport.parameters import DtlsRole
from tests.integration.port_fixtures import WAIT_S, Recorder, rtp

OWN = [a for a in machine_addresses() if a not in ("127.0.0.1", "::1")]
UFRAG, PASSWORD = "wardcast", "a-password-of-some-length"


@pytest.mark.skipif(not OWN, reason="aioice gathers nothing on loopback")
@pytest.mark.parametrize("role", ["server", "client"])
async def test_aiortc_connects_sends_and_says_goodbye(role: DtlsRole) -> None:
    port = await MediaPort.open(port=0)
    gatherer = RTCIceGatherer(iceServers=[])
    await gatherer.gather()
    ice = RTCIceTransport(gatherer)
    ice._connection.ice_controlling = True
    dtls = RTCDtlsTransport(ice, [RTCCertificate.generateCertificate()])
    dtls._set_role("client" if role == "server" else "server")
    theirs = gatherer.getLocalParameters()
    fingerprints = tuple((f.algorithm, f.value) for f in dtls.getLocalParameters().fingerprints)
    assert theirs.usernameFragment is not None
    assert theirs.password is not None
    recorder = Recorder()
    peer = port.add_peer(
        PeerParameters(
            UFRAG, PASSWORD, theirs.usernameFragment, theirs.password, fingerprints, role, "lite"
        ),
        recorder,
    )
    try:
        for candidate in port.candidates:
            if candidate.host in OWN:
                line = candidate.to_sdp().removeprefix("candidate:")
                await ice.addRemoteCandidate(candidate_from_sdp(line))
        await ice.addRemoteCandidate(None)
        async with asyncio.timeout(WAIT_S):
            await ice.start(RTCIceParameters(UFRAG, PASSWORD))
            remote = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", port.fingerprint)])
            await dtls.start(remote)
        await recorder.until(recorder.connected.is_set)
        assert peer.srtp_profile is not None
        await dtls._send_rtp(rtp(1))
        await recorder.until(lambda: bool(recorder.rtp))
        assert recorder.rtp == [rtp(1)]
        await dtls.stop()
        await recorder.until(lambda: bool(recorder.closed))
        assert recorder.closed == [CloseReason.PEER_CLOSED]
    finally:
        await dtls.stop()
        await ice.stop()
        await port.close()
