"""The bench's own STUN, SDP and RTCP against independent implementations."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from aioice import stun as aioice_stun
from aiortc import rtp as aiortc_rtp
from aiortc.sdp import SessionDescription

from tests.bench import sdp, stun
from tests.bench.kernel_io import Receiver, open_sockets
from tests.bench.rtcp_bytes import asks_keyframe, receiver_report, sender_report

OWN = sdp.Credentials("ufrag", "password-of-22-characters", "AA:" * 31 + "AA")


def test_checks_are_what_an_ice_agent_expects() -> None:
    request = stun.check_request("theirs:ours", "secret", b"12345678")
    message = aioice_stun.parse_message(request)
    assert message.check_message_integrity(b"secret")
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert "USE-CANDIDATE" in message.attributes
    answer = aioice_stun.parse_message(stun.check_response(request, ("127.0.0.9", 4242), "mine"))
    assert answer.check_message_integrity(b"mine")
    assert answer.transaction_id == message.transaction_id
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("127.0.0.9", 4242)


@pytest.mark.parametrize(
    "text", [sdp.viewer_offer(OWN), sdp.publisher_offer(OWN, audio_ssrc=1, video_ssrc=2)]
)
def test_offers_parse_elsewhere(text: str) -> None:
    parsed = SessionDescription.parse(text)
    assert [media.kind for media in parsed.media] == ["audio", "video"]
    assert parsed.media[1].rtp.codecs[0].payloadType == sdp.H264_PT
    assert parsed.media[0].ice.usernameFragment == "ufrag"


def test_answers_prefer_the_loopback_candidate() -> None:
    answer = sdp.viewer_offer(OWN)
    for host in ("192.0.2.9", "127.0.0.1"):
        answer += f"a=candidate:1 1 udp 1 {host} 7000 typ host\r\n"
    remote = sdp.parse_remote(answer)
    assert remote.address == ("127.0.0.1", 7000)
    assert [section.kind for section in remote.sections] == ["audio", "video"]
    with pytest.raises(ValueError, match="candidate"):
        sdp.parse_remote(sdp.viewer_offer(OWN))


def test_reports_parse_elsewhere() -> None:
    compound = receiver_report(5, [(1, 70_000), (2, 80_000)], 10_000_000)
    packets = aiortc_rtp.RtcpPacket.parse(compound)
    assert [report.highest_sequence for report in packets[0].reports] == [70_000, 80_000]
    bitrate, ssrcs = aiortc_rtp.unpack_remb_fci(packets[2].fci)
    assert ssrcs == [1, 2]
    assert bitrate == pytest.approx(10_000_000, rel=0.01)
    report = aiortc_rtp.RtcpPacket.parse(sender_report(9, 0.0, 1234, 3, 400))[0]
    assert (report.ssrc, report.sender_info.rtp_timestamp) == (9, 1234)


def test_key_frame_requests_are_seen_anywhere_in_a_compound() -> None:
    pli = bytes(aiortc_rtp.RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=2))
    assert asks_keyframe(receiver_report(5, [], 1000) + pli)
    assert not asks_keyframe(receiver_report(5, [], 1000))


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.mark.parametrize("gro", [False, True])
def test_trains_arrive_as_single_datagrams(sender: socket.socket, gro: bool) -> None:
    sockets = open_sockets(2, gro)
    receiver = Receiver(sockets, gro)
    train = bytes([1]) * 100 + bytes([2]) * 100 + bytes([3]) * 40
    segment = (100).to_bytes(2, "little")
    for index, data in ((1, train), (0, b"alone")):
        target = ("127.0.0.1", sockets[index].getsockname()[1])
        control = [(17, 103, segment)] if index else []
        sender.sendmsg([data], control, 0, target)
    found = []
    for batch in receiver.drain():
        for offset, length, viewer in zip(batch.offset, batch.length, batch.viewer, strict=True):
            found.append((int(viewer), receiver.memory[offset : offset + length].tobytes()))
        assert (batch.stamp_ns > 1_600_000_000 * 10**9).all()
    assert found == [
        (0, b"alone"),
        (1, bytes([1]) * 100),
        (1, bytes([2]) * 100),
        (1, bytes([3]) * 40),
    ]
    for sock in sockets:
        sock.close()
