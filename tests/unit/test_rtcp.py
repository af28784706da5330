"""RTCP wire format, against itself and against aiortc's own reading."""

from typing import Any

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from relay.core import rtcp
from relay.core.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    UnknownRtcp,
    encode,
    parse_compound,
)
from relay.core.rtcp_feedback import encode_nack_fci

u8 = st.integers(0, 255)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(ReportBlock, u32, u8, st.integers(-0x800000, 0x7FFFFF), u32, u32, u32, u32),
    max_size=4,
).map(tuple)
reports = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks),
    st.builds(ReceiverReport, u32, blocks),
)
items = st.lists(st.tuples(st.integers(1, 8), st.binary(max_size=30)), max_size=3).map(tuple)
descriptions = st.builds(
    SourceDescription, st.lists(st.builds(SdesChunk, u32, items), max_size=3).map(tuple)
)
byes = st.builds(Bye, st.lists(u32, max_size=3).map(tuple), st.text(max_size=20))
deltas = st.lists(
    st.one_of(st.none(), st.integers(0, 255), st.integers(-0x8000, 0x7FFF)),
    min_size=1,
    max_size=200,
).map(tuple)
transport = st.builds(
    TransportFeedback, u32, u32, u16, st.integers(-0x800000, 0x7FFFFF), u8, deltas
)
feedback = st.one_of(
    st.builds(PictureLoss, u32, u32),
    st.builds(FullIntraRequest, u32, st.lists(st.tuples(u32, u8), max_size=3).map(tuple)),
    transport,
)
packets = st.one_of(reports, descriptions, byes, feedback)


@given(st.lists(packets, min_size=1, max_size=5))
def test_what_is_encoded_is_parsed(compound: list[RtcpPacket]) -> None:
    data = encode(compound)
    assert len(data) % 4 == 0
    assert parse_compound(data) == compound


@given(st.lists(packets, min_size=1, max_size=2), st.data())
def test_every_truncation_is_an_error_or_a_whole_prefix(
    compound: list[RtcpPacket], data: st.DataObject
) -> None:
    whole = encode(compound)
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        parsed = parse_compound(whole[:cut])
    except RtcpError:
        return
    assert parsed == compound[: len(parsed)]


@given(start=u16, gaps=st.lists(st.integers(1, 40), max_size=60))
def test_nack_packs_and_unpacks(start: int, gaps: list[int]) -> None:
    seqs = [start]
    for gap in gaps:
        seqs.append((seqs[-1] + gap) & 0xFFFF)
    (parsed,) = parse_compound(encode([Nack(1, 2, tuple(seqs))]))
    assert parsed == Nack(1, 2, tuple(seqs))


@pytest.mark.parametrize(
    ("seqs", "fci"),
    [
        ((), b""),
        ((100,), b"\x00\x64\x00\x00"),
        ((100, 101, 116), b"\x00\x64\x80\x01"),
        ((100, 117), b"\x00\x64\x00\x00\x00\x75\x00\x00"),
        ((65535, 0), b"\xff\xff\x00\x01"),
        ((7, 7), b"\x00\x07\x00\x00"),
    ],
)
def test_nack_compaction(seqs: tuple[int, ...], fci: bytes) -> None:
    assert encode_nack_fci(seqs) == fci


@given(bitrate=st.integers(0, 2**40), ssrcs=st.lists(u32, max_size=4).map(tuple))
def test_remb_keeps_eighteen_bits(bitrate: int, ssrcs: tuple[int, ...]) -> None:
    (parsed,) = parse_compound(encode([Remb(bitrate, ssrcs, 9)]))
    assert isinstance(parsed, Remb)
    assert (parsed.ssrcs, parsed.sender_ssrc) == (ssrcs, 9)
    assert parsed.bitrate_bps <= bitrate <= parsed.bitrate_bps * (1 + 2**-17)


def test_transport_feedback_worked_example() -> None:
    """Seven small deltas of which one is missing: one 1-bit vector chunk."""
    packet = TransportFeedback(1, 2, 5, 4, 1, (4, 4, None, 4, 4, 4, 1000))
    data = encode([packet])
    assert data[8:12] == b"\x00\x00\x00\x02"
    assert data[12:20] == b"\x00\x05\x00\x07\x00\x00\x04\x01"
    assert data[20:22] == (0xC000 | 0b01_01_00_01_01_01_10).to_bytes(2, "big")
    assert data[22:29] == bytes((4, 4, 4, 4, 4)) + b"\x03\xe8"
    assert data[0] & 0x20  # padded to whole words
    assert data[-1] == 3
    assert parse_compound(data) == [packet]


def test_transport_feedback_without_the_padding_bit() -> None:
    """Some stacks pad with zeros and leave the padding bit off."""
    data = bytearray(encode([TransportFeedback(1, 2, 5, 4, 1, (4,))]))
    data[0] &= ~0x20
    data[-1] = 0
    assert parse_compound(bytes(data)) == [TransportFeedback(1, 2, 5, 4, 1, (4,))]


def test_long_runs_are_short_on_the_wire() -> None:
    packet = TransportFeedback(1, 2, 5, 4, 1, (0,) + (None,) * 4000 + (1,))
    data = encode([packet])
    assert len(data) <= 28
    assert parse_compound(data) == [packet]


def test_claimed_status_count_is_bounded() -> None:
    body = bytes(8) + b"\x00\x00\xff\xff\x00\x00\x00\x00" + b"\x1f\xff" * 10
    with pytest.raises(RtcpError):
        parse_compound(encode([UnknownRtcp(205, 15, body)]))


def test_reduced_size_and_unknown_types() -> None:
    xr = UnknownRtcp(207, 0, bytes(12))
    app = UnknownRtcp(206, 15, bytes(8) + b"ABCD")
    odd = UnknownRtcp(205, 3, bytes(12))
    assert parse_compound(encode([xr, PictureLoss(1, 2), app, odd])) == [
        xr,
        PictureLoss(1, 2),
        app,
        odd,
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x40\xc9\x00\x01" + bytes(4),
        b"\x80\xc9\x00\x02" + bytes(4),
        b"\x80\xc9\x00\x00",  # RR without its SSRC
        b"\x81\xc9\x00\x01" + bytes(4),  # RR without its block
        b"\x80\xc8\x00\x01" + bytes(4),
        b"\x81\xca\x00\x00",
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\xff\x00\x00",
        b"\x82\xcb\x00\x01" + bytes(4),
        b"\x81\xcd\x00\x01" + bytes(4),
        b"\x81\xce\x00\x01" + bytes(4),
        b"\x8f\xce\x00\x03" + bytes(8) + b"REMB",
        b"\x8f\xce\x00\x04" + bytes(8) + b"REMB\x01\x00\x00\x00",
        b"\x8f\xcd\x00\x02" + bytes(8),
        b"\x8f\xcd\x00\x04" + bytes(8) + b"\x00\x01\x00\x05\x00\x00\x00\x00",
        b"\x8f\xcd\x00\x05" + bytes(8) + b"\x00\x01\x00\x05\x00\x00\x00\x00\x20\x05\x00\x00",
        b"\xa0\xc9\x00\x01\x00\x00\x00\x00",  # padding of 0
        b"\xa0\xc9\x00\x01\x00\x00\x00\x08",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(RtcpError):
        parse_compound(data)


def test_counts_over_31_are_refused() -> None:
    with pytest.raises(ValueError):
        encode([ReceiverReport(1, (ReportBlock(1, 0, 0, 0, 0),) * 32)])
    with pytest.raises(ValueError):
        encode([SourceDescription((SdesChunk(1, ((1, bytes(256)),)),))])


def test_round_trip_from_report() -> None:
    sent = rtcp.ntp_from_seconds(3_900_000_000.25)
    block = ReportBlock(1, 0, 0, 0, 0, rtcp.middle_ntp(sent), 65536 // 10)
    received = rtcp.ntp_from_seconds(3_900_000_000.25 + 0.150)
    rtt = rtcp.round_trip_ms(block, received)
    assert rtt == pytest.approx(50, abs=0.1)
    assert rtcp.round_trip_ms(ReportBlock(1, 0, 0, 0, 0), received) is None
    assert rtcp.round_trip_ms(block, sent) == 0.0


def test_sdes_cname_and_ntp_seconds() -> None:
    assert SourceDescription.of_cname(1, "phường").chunks[0].cname == "phường"
    assert SdesChunk(1, ((2, b"name"),)).cname is None
    assert SenderReport(1, rtcp.ntp_from_seconds(12.5), 0, 0, 0).ntp_seconds == 12.5


def test_aiortc_reads_what_we_write() -> None:
    block = ReportBlock(7, 10, -3, 70000, 40, 5, 6)
    ours: list[RtcpPacket] = [
        ReceiverReport(1, (block,)),
        SourceDescription.of_cname(1, "hub"),
        Nack(1, 7, (5, 9)),
        PictureLoss(1, 7),
        Remb(2_500_000, (7,), 1),
        Bye((1,)),
    ]
    theirs: list[Any] = aiortc_rtp.RtcpPacket.parse(encode(ours))
    assert theirs[0].reports[0].packets_lost == -3
    assert theirs[0].reports[0].highest_sequence == 70000
    assert theirs[1].chunks[0].items == [(1, b"hub")]
    assert theirs[2].lost == [5, 9]
    assert theirs[3].fmt == aiortc_rtp.RTCP_PSFB_PLI
    bitrate, ssrcs = aiortc_rtp.unpack_remb_fci(theirs[4].fci)
    assert (bitrate, ssrcs) == (2_500_000, [7])
    assert theirs[5].sources == [1]
    assert parse_compound(b"".join(bytes(packet) for packet in theirs)) == ours
