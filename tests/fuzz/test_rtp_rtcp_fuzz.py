"""Arbitrary bytes from the network raise the declared error or nothing."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from relay.core.rtcp import RtcpError, encode, parse_compound
from relay.core.rtp import RtpError, parse_rtp

rtp_like = st.builds(
    lambda first, rest: bytes((0x80 | first,)) + rest, st.integers(0, 63), st.binary(max_size=120)
)
rtcp_like = st.builds(
    lambda first, kind, body: (
        bytes((0x80 | first, kind)) + (len(body) // 4).to_bytes(2, "big") + body
    ),
    st.integers(0, 63),
    st.integers(199, 208),
    st.binary(max_size=120),
)


@given(st.one_of(st.binary(max_size=80), rtp_like))
def test_rtp_parser(data: bytes) -> None:
    with contextlib.suppress(RtpError):
        view = parse_rtp(data)
        assert len(view.payload) + view.padding_bytes + 12 <= len(data)


@given(st.one_of(st.binary(max_size=80), st.lists(rtcp_like, max_size=3).map(b"".join)))
def test_rtcp_parser(data: bytes) -> None:
    with contextlib.suppress(RtcpError):
        packets = parse_compound(data)
        assert packets
        assert len(encode(packets)) % 4 == 0
