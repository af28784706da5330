"""Opus packets of libopus, code 0 to 3 packets by hand, and RED around them."""

from __future__ import annotations

import pytest

from relay.core.codecs import CodecError
from relay.core.codecs.opus import has_fec, inspect_opus, is_dtx, parse_opus
from relay.core.codecs.red import inspect_red, parse_red
from tests.unit.encoded_clips import opus_packets

CELT_20 = 31 << 3
SILK_60 = 3 << 3
VOIP = ("application", "voip")


@pytest.mark.parametrize(
    ("payload", "frame_ms", "sizes"),
    [
        (bytes((CELT_20,)), 20.0, (0,)),
        (bytes((CELT_20,)) + b"abc", 20.0, (3,)),
        (bytes((CELT_20 | 1,)) + b"abcd", 20.0, (2, 2)),
        (bytes((CELT_20 | 2, 1)) + b"abc", 20.0, (1, 2)),
        (bytes((CELT_20 | 2, 252, 1)) + bytes(300), 20.0, (256, 44)),
        (bytes((CELT_20 | 3, 3)) + b"abcdef", 20.0, (2, 2, 2)),
        (bytes((CELT_20 | 3, 0x83, 1, 2)) + b"abcdef", 20.0, (1, 2, 3)),
        (bytes((CELT_20 | 3, 0x42, 2)) + b"abcd" + bytes(2), 20.0, (2, 2)),
        (bytes((CELT_20 | 3, 0x41, 255, 1)) + b"abcd" + bytes(255), 20.0, (4,)),
        (bytes((SILK_60 | 1,)) + b"abcd", 60.0, (2, 2)),
        (bytes((16 << 3,)) + b"a", 2.5, (1,)),
        (bytes((13 << 3,)) + b"a", 20.0, (1,)),
    ],
)
def test_frames(payload: bytes, frame_ms: float, sizes: tuple[int, ...]) -> None:
    packet = parse_opus(payload)
    assert (packet.frame_ms, packet.frame_bytes) == (frame_ms, sizes)
    assert packet.duration_ms == frame_ms * len(sizes)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes((CELT_20 | 1,)) + b"abc",
        bytes((CELT_20 | 2,)),
        bytes((CELT_20 | 2, 9)) + b"abc",
        bytes((CELT_20 | 2, 252)),
        bytes((CELT_20 | 3,)),
        bytes((CELT_20 | 3, 0)),
        bytes((CELT_20 | 3, 7)) + bytes(7),
        bytes((SILK_60 | 3, 3)) + bytes(3),
        bytes((CELT_20 | 3, 2)) + b"abc",
        bytes((CELT_20 | 3, 0x41)),
        bytes((CELT_20 | 3, 0x41, 9)) + b"abc",
        bytes((CELT_20 | 3, 0x82, 9)) + b"abc",
    ],
)
def test_malformed(payload: bytes) -> None:
    with pytest.raises(CodecError):
        inspect_opus(payload)


@pytest.mark.parametrize("duration", ["2.5", "10", "20", "60"])
def test_real_durations(duration: str) -> None:
    packets = opus_packets("tone", (("frame_duration", duration),))
    assert {parse_opus(p).duration_ms for p in packets} == {float(duration)}
    assert all(inspect_opus(p).frame_start for p in packets)


def test_fec_of_a_real_encoder() -> None:
    with_fec = opus_packets("tone", (("fec", "1"), ("packet_loss", "20"), VOIP))
    without = opus_packets("tone", (("fec", "0"), VOIP))
    assert sum(map(has_fec, with_fec)) > 0.9 * len(with_fec)
    assert not any(map(has_fec, without))
    assert not has_fec(bytes((CELT_20,)) + b"\xff")


def test_silence_is_small() -> None:
    assert all(len(p) <= 3 for p in opus_packets("silence"))
    assert not any(is_dtx(p) for p in opus_packets("tone"))
    assert is_dtx(b"\xf8")
    assert is_dtx(b"\xf8\xff")


def test_red_blocks() -> None:
    head = (0x80 | 111) << 24 | 960 << 10 | 3
    blocks = parse_red(head.to_bytes(4, "big") + bytes((111,)) + b"oldnewest")
    assert [(b.payload_type, b.timestamp_offset, b.data) for b in blocks] == [
        (111, 960, b"old"),
        (111, 0, b"newest"),
    ]
    assert inspect_red(b"\x6f\xf8").frame_start


@pytest.mark.parametrize(
    "payload", [b"", b"\xef\x00\x00", b"\xef\x00\x00\x02", b"\xef\x00\x00\x02\x6fa"]
)
def test_malformed_red(payload: bytes) -> None:
    with pytest.raises(CodecError):
        parse_red(payload)
