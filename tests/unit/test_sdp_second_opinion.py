"""aiortc's own offers, answered by us and judged by aiortc."""

from __future__ import annotations

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from relay.core.negotiation import CodecParameters
from tests.unit.sdp_samples import H264, OPUS, publish, view

VP8 = CodecParameters(96, "VP8", 90_000)


async def offer_of(peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


async def test_aiortc_accepts_the_answer_to_a_publisher() -> None:
    peer = RTCPeerConnection()
    try:
        for track in (AudioStreamTrack(), VideoStreamTrack()):
            peer.addTransceiver(track, direction="sendonly")
        answer, _, _ = publish(await offer_of(peer))
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert [t.currentDirection for t in peer.getTransceivers()] == ["sendonly"] * 2
    finally:
        await peer.close()


@pytest.mark.parametrize("on_air", [H264, VP8])
async def test_aiortc_accepts_the_answer_to_a_viewer(on_air: CodecParameters) -> None:
    peer = RTCPeerConnection()
    try:
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, direction="recvonly")
        answer, _, _ = view(await offer_of(peer), on_air, OPUS)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert [t.currentDirection for t in peer.getTransceivers()] == ["recvonly"] * 2
    finally:
        await peer.close()
