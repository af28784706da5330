"""Arbitrary bytes from the network raise the declared error or nothing."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from relay.core.ingest import MAX_SOURCES
from relay.core.negotiation import PublisherNegotiation
from relay.core.rtcp import RtcpError, encode, parse_compound
from relay.core.rtp import RtpError, build_rtp, parse_rtp
from tests.unit.ingest_fixtures import (
    H264,
    H264_PT,
    OPUS_PT,
    RTX_PT,
    VP8,
    VP8_PT,
    ingest,
    negotiation,
)

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


media_like = st.builds(
    build_rtp,
    payload_type=st.sampled_from([OPUS_PT, VP8_PT, H264_PT, RTX_PT, 1]),
    seq=st.integers(0, 65535),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(1, 4),
    payload=st.binary(max_size=40),
    marker=st.booleans(),
    extensions=st.dictionaries(st.integers(1, 8), st.binary(max_size=5), max_size=3),
    padding_bytes=st.integers(0, 20),
)
settlements = [
    negotiation((VP8, H264)),
    negotiation((H264,), extensions={}),
    negotiation((VP8,), rids=("q", "h"), ssrcs=(1, 2), rtx_ssrcs={1: 3}),
]


@given(
    settled=st.sampled_from(settlements),
    datagrams=st.lists(
        st.one_of(media_like, media_like, rtp_like, rtcp_like, st.binary(max_size=40)), max_size=40
    ),
    step_ms=st.floats(0, 500),
)
def test_ingest(settled: PublisherNegotiation, datagrams: list[bytes], step_ms: float) -> None:
    """Whatever comes, each source gives out each number once, and a driver never spins."""
    target = ingest(settled)
    given_out: set[tuple[int, int]] = set()
    sources = []
    now = 0.0
    for data in datagrams:
        now += step_ms
        for source, packet in target.on_rtp([data], now):
            sources.append(source)  # kept alive, so that id() stays unique
            assert (id(source), packet.seq) not in given_out
            given_out.add((id(source), packet.seq))
            assert packet.seq > 0
            assert len(packet.payload) <= 1400
        target.on_rtcp(data, now)
        for source in target.sources:
            target.request_keyframe(source, now)
        target.poll_rtcp(now)
        assert target.next_deadline_ms() > now
    assert len(target.sources) <= MAX_SOURCES
