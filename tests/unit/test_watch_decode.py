"""The decoder of `watch --decode` on packets of the real sender."""

from __future__ import annotations

import time

from hub.cli.watch_decode import PictureCheck
from hub.source.encode import VideoEncoder
from hub.source.picture import HEIGHT, WIDTH, TestPicture
from hub.source.rtp_sender import RtpSender, TransportSequence
from relay.core.negotiation import CodecParameters, MediaNegotiation, PublisherNegotiation

MEDIA = MediaNegotiation(0, "0", "video", (CodecParameters(96, "H264", 90000),))


def frames(count: int) -> list[list[bytes]]:
    picture = TestPicture("Kỳ họp")
    encoder = VideoEncoder("h264", WIDTH, HEIGHT, 30, 2_500_000)
    sender = RtpSender(MEDIA, TransportSequence(), ssrc=7, rtx_ssrc=None)
    result = []
    for frame in range(count):
        units = encoder.encode_i420(picture.draw(frame, time.time(), False), frame / 30)
        result += [[sender.build(out, 0.0) for out in sender.packetize(unit)] for unit in units]
    return result


def test_pictures_are_decoded_and_their_age_is_read() -> None:
    check = PictureCheck(PublisherNegotiation((MEDIA,)))
    for packets in frames(8):
        check.on_media(list(reversed(packets[:-1])) + packets[-1:], 0.0)
    check.on_media([b"\x80\x6f" + bytes(20), b"short"], 0.0)
    # The first frame arrived turned round: its start was not known yet.
    assert check.pictures + check.failed >= 6
    assert check.latency_ms is None or 0 <= check.latency_ms < 10_000


def test_a_frame_with_a_hole_is_not_decoded() -> None:
    check = PictureCheck(PublisherNegotiation((MEDIA,)))
    first, second, third = frames(3)
    check.on_media(first, 0.0)
    check.on_media(second[:1] + second[2:], 0.0)
    check.on_media(third, 0.0)
    assert check.failed == 1
