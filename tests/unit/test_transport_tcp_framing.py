"""RFC 4571 framing: what goes in comes out, however the bytes are cut; nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.transport.tcp_framing import MAX_FRAME_BYTES, FrameParser, FramingError, frame

packets = st.lists(st.binary(min_size=1, max_size=300), max_size=12)


def test_a_packet_stands_behind_its_length() -> None:
    assert frame(b"abc") == b"\x00\x03abc"
    with pytest.raises(ValueError):
        frame(bytes(MAX_FRAME_BYTES + 1))


@given(packets, st.lists(st.integers(0, 3000), max_size=20))
def test_packets_survive_any_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(packet) for packet in sent)
    parser = FrameParser()
    got: list[bytes] = []
    at = 0
    for cut in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        got += parser.feed(stream[at:cut])
        at = cut
    assert got == sent
    assert parser.held == 0


def test_the_longest_packet_comes_byte_by_byte() -> None:
    packet = bytes(range(256)) * 8
    parser = FrameParser()
    got = [p for octet in frame(packet) for p in parser.feed(bytes([octet]))]
    assert got == [packet]


def test_empty_frames_are_keep_alives() -> None:
    assert FrameParser().feed(b"\x00\x00\x00\x00\x00\x01x\x00\x00") == [b"x"]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x08\x01", b"\xff\xff"]
)
def test_another_protocol_is_refused_and_stays_refused(data: bytes) -> None:
    parser = FrameParser()
    with pytest.raises(FramingError):
        parser.feed(data)
    with pytest.raises(FramingError):
        parser.feed(frame(b"late"))
    assert parser.held == 0
