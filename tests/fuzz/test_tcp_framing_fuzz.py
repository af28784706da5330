"""Arbitrary bytes on a TCP connection: packets or a refusal, and never much memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.transport.tcp_framing import MAX_FRAME_BYTES, FrameParser, FramingError

shaped = st.builds(
    lambda size, body: size.to_bytes(2, "big") + body, st.integers(0, 4000), st.binary(max_size=200)
)


@given(st.lists(st.one_of(st.binary(max_size=3000), shaped), max_size=20))
def test_framing(pieces: list[bytes]) -> None:
    """Whatever comes, packets are within bounds and less than one of them is held."""
    parser = FrameParser()
    for piece in pieces:
        try:
            packets = parser.feed(piece)
        except FramingError:
            assert parser.held == 0
            return
        assert all(0 < len(packet) <= MAX_FRAME_BYTES for packet in packets)
        assert parser.held < MAX_FRAME_BYTES + 2
