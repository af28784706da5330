"""Header extensions of a viewer, read back by the RTP parser."""

from __future__ import annotations

from relay.core.fanout import build_packet
from relay.core.header_layout import HeaderLayout, abs_send_time
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    MediaNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.rtp import parse_rtp

PACKET = MediaPacket(
    1, 2, b"payload", 96, True, False, True, 1500.0, audio_level=0x8A, video_orientation=3
)


def test_every_negotiated_extension_is_written_with_the_viewers_id() -> None:
    uris = [EXT_MID, EXT_ABS_SEND_TIME, EXT_AUDIO_LEVEL, EXT_VIDEO_ORIENTATION, EXT_TRANSPORT_CC]
    ids = {uri: 14 - i for i, uri in enumerate(uris)}
    layout = HeaderLayout.of(MediaNegotiation(0, "video0", "video", (), ids))
    wire, transport_at = build_packet(layout, PACKET, 4, 1500.0)
    view = parse_rtp(wire)
    assert view.extensions[14] == b"video0"
    assert int.from_bytes(view.extensions[13], "big") == abs_send_time(1500.0)
    assert view.extensions[12] == b"\x8a"
    assert view.extensions[11] == b"\x03"
    assert view.extensions[10] == b"\0\0"
    assert wire[transport_at - 1] == 10 << 4 | 1
    assert (view.payload, view.padding_bytes, view.marker) == (b"payload", 4, True)


def test_nothing_negotiated_means_no_extension_block() -> None:
    wire, transport_at = build_packet(HeaderLayout(), PACKET, 0, 0.0)
    assert len(wire) == 12 + len(PACKET.payload)
    assert transport_at == 0
    assert not wire[0] & 0x10


def test_ids_that_need_two_byte_headers_are_left_out() -> None:
    media = MediaNegotiation(0, "0", "video", (), {EXT_ABS_SEND_TIME: 15, EXT_MID: 20})
    assert HeaderLayout.of(media).block(PACKET, 0.0) == (b"", 0)


def test_abs_send_time_is_six_bits_of_seconds_and_eighteen_of_fraction() -> None:
    assert abs_send_time(1000.0) == 1 << 18
    assert abs_send_time(64_000.0) == 0
