"""RTCP packets (RFC 3550 section 6): one frozen dataclass per type, parsing and encoding.

`parse_compound` is tolerant: it takes reduced-size packets (RFC 5506) in any order and returns
types it does not know (XR, APP …) as UnknownRtcp. It is strict about lengths.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct

from relay.core.rtcp_feedback import (
    Feedback,
    FullIntraRequest,
    Nack,
    PictureLoss,
    Remb,
    RtcpError,
    TransportFeedback,
    encode_feedback_body,
    parse_psfb,
    parse_rtpfb,
)

__all__ = [
    "Bye",
    "FullIntraRequest",
    "Nack",
    "PictureLoss",
    "ReceiverReport",
    "Remb",
    "ReportBlock",
    "RtcpError",
    "RtcpPacket",
    "SdesChunk",
    "SenderReport",
    "SourceDescription",
    "TransportFeedback",
    "UnknownRtcp",
    "encode",
    "middle_ntp",
    "ntp_from_seconds",
    "parse_compound",
    "round_trip_ms",
]

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
SDES_CNAME = 1
MAX_BLOCKS = 31
"""Report blocks, chunks or SSRCs that fit the five-bit count."""

_U32 = Struct("!I")
_SR_BODY = Struct("!IQIII")
_BLOCK = Struct("!IIIIII")
_BLOCK_BYTES = 24
_SR_BYTES = 24


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one SSRC (RFC 3550 section 6.4.1).

    fraction_lost: 0 … 255 of 256 since the last report. packets_lost: signed 24 bits, in total.
    highest_seq: cycles << 16 | sequence number. jitter: timestamp ticks. last_sr: middle 32 bits
    of the NTP time of the last SR, 0 if none. delay_since_last_sr: units of 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_seq: int
    jitter: int
    last_sr: int = 0
    delay_since_last_sr: int = 0


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR. ntp_timestamp: 32.32 fixed point seconds since 1900. rtp_timestamp: 32 bits."""

    ssrc: int
    ntp_timestamp: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    @property
    def ntp_seconds(self) -> float:
        """Seconds since 1900."""
        return self.ntp_timestamp / 4294967296.0


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SdesChunk:
    """Items of one source: (item type, text), RFC 3550 section 6.5."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]

    @property
    def cname(self) -> str | None:
        """The canonical name, if it is among the items."""
        for kind, text in self.items:
            if kind == SDES_CNAME:
                return text.decode("utf-8", "replace")
        return None


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES."""

    chunks: tuple[SdesChunk, ...]

    @classmethod
    def of_cname(cls, ssrc: int, cname: str) -> SourceDescription:
        """The usual SDES: one source and its canonical name."""
        return cls((SdesChunk(ssrc, ((SDES_CNAME, cname.encode()),)),))


@dataclass(frozen=True, slots=True)
class Bye:
    """BYE. reason: at most 255 bytes of UTF-8."""

    ssrcs: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnknownRtcp:
    """A packet of a type or format that is not read here. count: five bits. payload: its body."""

    packet_type: int
    count: int
    payload: bytes


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Bye | Feedback | UnknownRtcp


def parse_compound(data: bytes) -> list[RtcpPacket]:
    """All packets of a datagram. Raises RtcpError if it is empty, cut short or misversioned."""
    size = len(data)
    if not size:
        raise RtcpError("empty")
    packets: list[RtcpPacket] = []
    at = 0
    while at < size:
        if at + 4 > size:
            raise RtcpError("header cut short")
        first = data[at]
        if first >> 6 != 2:
            raise RtcpError("RTCP version is not 2")
        end = at + 4 + 4 * (data[at + 2] << 8 | data[at + 3])
        if end > size:
            raise RtcpError("packet cut short")
        stop = end
        if first & 0x20:
            padding = data[end - 1]
            stop -= padding
            if not padding or stop < at + 4:
                raise RtcpError("padding longer than the packet")
        packets.append(_parse_one(data[at + 1], first & 0x1F, data[at + 4 : stop]))
        at = end
    return packets


def _parse_one(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    known: RtcpPacket | None = None
    if packet_type == RR:
        if len(body) < 4:
            raise RtcpError("receiver report cut short")
        known = ReceiverReport(_U32.unpack_from(body)[0], _parse_blocks(body, 4, count))
    elif packet_type == SR:
        if len(body) < _SR_BYTES:
            raise RtcpError("sender report cut short")
        ssrc, ntp, rtp, sent, octets = _SR_BODY.unpack_from(body)
        blocks = _parse_blocks(body, _SR_BYTES, count)
        known = SenderReport(ssrc, ntp, rtp, sent, octets, blocks)
    elif packet_type == RTPFB:
        known = parse_rtpfb(count, body)
    elif packet_type == PSFB:
        known = parse_psfb(count, body)
    elif packet_type == SDES:
        known = _parse_sdes(body, count)
    elif packet_type == BYE:
        known = _parse_bye(body, count)
    return known if known is not None else UnknownRtcp(packet_type, count, body)


def _parse_blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    if not count:
        return ()
    if len(body) < at + _BLOCK_BYTES * count:
        raise RtcpError("fewer report blocks than counted")
    blocks = []
    for offset in range(at, at + _BLOCK_BYTES * count, _BLOCK_BYTES):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, offset)
        lost = loss & 0xFFFFFF
        if lost >= 0x800000:
            lost -= 0x1000000
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _parse_sdes(body: bytes, count: int) -> SourceDescription:
    chunks: list[SdesChunk] = []
    at, size = 0, len(body)
    for _ in range(count):
        if at + 4 > size:
            raise RtcpError("fewer SDES chunks than counted")
        (ssrc,) = _U32.unpack_from(body, at)
        at += 4
        items: list[tuple[int, bytes]] = []
        while at < size and body[at]:
            if at + 2 > size or at + 2 + body[at + 1] > size:
                raise RtcpError("SDES item cut short")
            items.append((body[at], body[at + 2 : at + 2 + body[at + 1]]))
            at += 2 + body[at + 1]
        at = (at // 4 + 1) * 4  # the zero item and padding to a word
        chunks.append(SdesChunk(ssrc, tuple(items)))
    return SourceDescription(tuple(chunks))


def _parse_bye(body: bytes, count: int) -> Bye:
    end = 4 * count
    if len(body) < end:
        raise RtcpError("fewer SSRCs in BYE than counted")
    reason = ""
    if len(body) > end:
        reason = body[end + 1 : end + 1 + body[end]].decode("utf-8", "replace")
    return Bye(tuple(ssrc for (ssrc,) in _U32.iter_unpack(body[:end])), reason)


def encode(packets: Iterable[RtcpPacket]) -> bytes:
    """One datagram of all packets, in order. Raises ValueError for counts over 31."""
    return b"".join(_encode_one(packet) for packet in packets)


def _encode_one(packet: RtcpPacket) -> bytes:
    if isinstance(packet, SenderReport):
        head = _SR_BODY.pack(
            packet.ssrc,
            packet.ntp_timestamp,
            packet.rtp_timestamp & 0xFFFFFFFF,
            packet.packet_count & 0xFFFFFFFF,
            packet.octet_count & 0xFFFFFFFF,
        )
        return _frame(SR, len(packet.reports), head + _encode_blocks(packet.reports))
    if isinstance(packet, ReceiverReport):
        body = _U32.pack(packet.ssrc) + _encode_blocks(packet.reports)
        return _frame(RR, len(packet.reports), body)
    if isinstance(packet, SourceDescription):
        return _frame(SDES, len(packet.chunks), b"".join(map(_encode_chunk, packet.chunks)))
    if isinstance(packet, Bye):
        body = b"".join(_U32.pack(ssrc) for ssrc in packet.ssrcs)
        if packet.reason:
            text = packet.reason.encode()[:255]
            body += bytes((len(text),)) + text
            body += bytes(-len(body) % 4)
        return _frame(BYE, len(packet.ssrcs), body)
    if isinstance(packet, UnknownRtcp):
        return _frame(packet.packet_type, packet.count, packet.payload)
    packet_type, fmt, body = encode_feedback_body(packet)
    return _frame(packet_type, fmt, body)


def _frame(packet_type: int, count: int, body: bytes) -> bytes:
    """Common header and body; a body that is not whole words gets RTCP padding."""
    if count > MAX_BLOCKS:
        raise ValueError("more than 31 entries in one RTCP packet")
    padding = -len(body) % 4
    if padding:
        body += bytes(padding - 1) + bytes((padding,))
    words = len(body) // 4
    return (
        bytes(((0xA0 if padding else 0x80) | count, packet_type, words >> 8, words & 0xFF)) + body
    )


def _encode_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24
            | max(-0x800000, min(0x7FFFFF, block.packets_lost)) & 0xFFFFFF,
            block.highest_seq & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_sr,
            block.delay_since_last_sr & 0xFFFFFFFF,
        )
        for block in blocks
    )


def _encode_chunk(chunk: SdesChunk) -> bytes:
    out = bytearray(_U32.pack(chunk.ssrc))
    for kind, text in chunk.items:
        if len(text) > 255:
            raise ValueError("SDES item longer than 255 bytes")
        out += bytes((kind, len(text))) + text
    return bytes(out) + bytes(4 - len(out) % 4)


def ntp_from_seconds(seconds: float) -> int:
    """32.32 fixed point from seconds since 1900."""
    return int(seconds * 4294967296.0) & 0xFFFFFFFFFFFFFFFF


def middle_ntp(ntp_timestamp: int) -> int:
    """Middle 32 bits of a 64-bit NTP timestamp: units of 1/65536 s."""
    return ntp_timestamp >> 16 & 0xFFFFFFFF


def round_trip_ms(block: ReportBlock, received_ntp: int) -> float | None:
    """Round trip from a report block about our SRs, in ms (RFC 3550 section 6.4.1).

    received_ntp: 64-bit NTP time at which the report came in, on the clock our SRs use. None when
    the block answers no SR; never negative.
    """
    if not block.last_sr:
        return None
    units = (middle_ntp(received_ntp) - block.last_sr - block.delay_since_last_sr) & 0xFFFFFFFF
    if units >= 0x80000000:
        return 0.0
    return units * 1000.0 / 65536.0
