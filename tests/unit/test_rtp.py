"""RTP wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.rtp import RtpError, build_rtp, is_rtcp, parse_rtp

one_byte = st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=6)
two_byte = st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=6)


@given(
    payload_type=st.integers(0, 127),
    seq=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=60),
    marker=st.booleans(),
    extensions=st.one_of(one_byte, two_byte),
    padding=st.integers(0, 255),
)
def test_what_is_built_is_parsed(
    payload_type: int,
    seq: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    marker: bool,
    extensions: dict[int, bytes],
    padding: int,
) -> None:
    data = build_rtp(
        payload_type=payload_type,
        seq=seq,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=payload,
        marker=marker,
        extensions=extensions,
        padding_bytes=padding,
    )
    view = parse_rtp(data)
    assert (view.payload_type, view.marker, view.seq) == (payload_type, marker, seq)
    assert (view.timestamp, view.ssrc) == (timestamp, ssrc)
    assert (view.payload, view.padding_bytes, view.extensions) == (payload, padding, extensions)
    for end in range(12):
        with pytest.raises(RtpError):
            parse_rtp(data[:end])


def test_extended_numbers_are_cut_at_the_wire() -> None:
    view = parse_rtp(build_rtp(payload_type=96, seq=65536 + 5, timestamp=2**32 + 9, ssrc=1))
    assert (view.seq, view.timestamp) == (5, 9)


def test_contributing_sources_are_skipped() -> None:
    data = bytearray(build_rtp(payload_type=0, seq=1, timestamp=1, ssrc=1))
    data[0] |= 2
    assert parse_rtp(bytes(data) + bytes(8) + b"voice").payload == b"voice"
    with pytest.raises(RtpError):
        parse_rtp(bytes(data) + bytes(7))


@pytest.mark.parametrize(
    ("profile", "block", "expected"),
    [
        (0xBEDE, b"\x10\xaa\x00\x21\x01\x02\x00\x00", {1: b"\xaa", 2: b"\x01\x02"}),
        (0xBEDE, b"\xf0\xaa\x10\xbb", {}),  # id 15 ends the block
        (0xBEDE, b"\x10\xaa\x2f\x00", {1: b"\xaa"}),  # second element runs over
        (0x1005, b"\x01\x00\x63\x01\x07\x00\x00\x00", {1: b"", 0x63: b"\x07"}),
        (0x1000, b"\x01\x01\xaa\x02", {1: b"\xaa"}),
        (0x1000, b"\x01\x09\xaa\x02", {}),
        (0xABAC, b"\x10\xaa\x00\x00", {}),  # unknown profile: skipped whole
    ],
)
def test_extension_blocks(profile: int, block: bytes, expected: dict[int, bytes]) -> None:
    data = bytearray(build_rtp(payload_type=96, seq=1, timestamp=1, ssrc=1))
    data[0] |= 0x10
    data += profile.to_bytes(2, "big") + (len(block) // 4).to_bytes(2, "big") + block + b"pay"
    view = parse_rtp(bytes(data))
    assert view.extensions == expected
    assert view.payload == b"pay"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x40" + bytes(11),
        b"\xa0" + bytes(11),  # padding bit, no padding
        b"\xa0" + bytes(12) + b"\x00",
        b"\xa0" + bytes(12) + b"\x03",
        b"\x90" + bytes(11),  # extension bit, no block
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x02" + bytes(4),
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(RtpError):
        parse_rtp(data)


def test_padding_only() -> None:
    view = parse_rtp(build_rtp(payload_type=96, seq=1, timestamp=1, ssrc=1, padding_bytes=200))
    assert (view.payload, view.padding_bytes) == (b"", 200)


@pytest.mark.parametrize(
    ("second", "expected"), [(191, False), (192, True), (200, True), (223, True), (224, False)]
)
def test_rtcp_is_told_from_rtp(second: int, expected: bool) -> None:
    assert is_rtcp(bytes((0x80, second))) is expected
    assert not is_rtcp(b"\x80")


@pytest.mark.parametrize(
    "extensions", [{0: b"a"}, {256: b"a"}, {1: bytes(256)}], ids=["id 0", "id 256", "too long"]
)
def test_impossible_extensions_are_refused(extensions: dict[int, bytes]) -> None:
    with pytest.raises(ValueError):
        build_rtp(payload_type=96, seq=1, timestamp=1, ssrc=1, extensions=extensions)


def test_impossible_headers_are_refused() -> None:
    with pytest.raises(ValueError):
        build_rtp(payload_type=96, seq=1, timestamp=1, ssrc=1, padding_bytes=256)
    with pytest.raises(ValueError):
        build_rtp(payload_type=128, seq=1, timestamp=1, ssrc=1)
