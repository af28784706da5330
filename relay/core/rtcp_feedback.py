"""RTCP feedback messages: RFC 4585 (NACK, PLI), RFC 5104 (FIR), REMB and transport-cc.

Encoders and parsers work on the body after the common header; it starts with the SSRCs of the
packet's sender and of the media it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct, error, unpack_from

U16_PAIR = Struct("!HH")
U32 = Struct("!I")
U32_PAIR = Struct("!II")
_FIR_ENTRY = Struct("!IB3x")
_TWCC_HEAD = Struct("!HHI")

RTPFB_NACK = 1
RTPFB_TRANSPORT_CC = 15
PSFB_PLI = 1
PSFB_FIR = 4
PSFB_APP = 15
REMB_NAME = b"REMB"

TICK_MS = 0.25
"""Unit of an arrival delta in transport-cc feedback."""
REFERENCE_MS = 64.0
"""Unit of the reference time in transport-cc feedback."""
MAX_STATUS_COUNT = 4096
"""Statuses accepted in one transport feedback: a run of two bytes may claim thousands."""

_NOT_RECEIVED, _SMALL_DELTA, _LARGE_DELTA = 0, 1, 2
_MAX_RUN = 0x1FFF


class RtcpError(ValueError):
    """The bytes are not well-formed RTCP."""


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK (RFC 4585 section 6.2.1). seqs: 16-bit sequence numbers that are missing."""

    sender_ssrc: int
    media_ssrc: int
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PictureLoss:
    """Picture loss indication (RFC 4585 section 6.3.1): please send a key frame."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """Full intra request (RFC 5104 section 4.3.1). entries: (media SSRC, command number)."""

    sender_ssrc: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Remb:
    """Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03), in bit/s."""

    bitrate_bps: int
    ssrcs: tuple[int, ...]
    sender_ssrc: int = 0


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

    base_seq: 16-bit transport sequence number of the first status. reference_time: signed 24 bits,
    units of 64 ms. feedback_count: 8 bits. deltas: one per packet from base_seq on: None if not
    received, else quarter milliseconds since the previous received one (the first: since
    reference_time).
    """

    sender_ssrc: int
    media_ssrc: int
    base_seq: int
    reference_time: int
    feedback_count: int
    deltas: tuple[int | None, ...]


Feedback = Nack | PictureLoss | FullIntraRequest | Remb | TransportFeedback


def encode_nack_fci(seqs: Iterable[int]) -> bytes:
    """Pack sequence numbers into (PID, BLP) pairs; the order in which they wrap is kept."""
    out = bytearray()
    pid: int | None = None
    mask = 0
    for seq in seqs:
        if pid is not None:
            distance = (seq - pid) & 0xFFFF
            if distance == 0:
                continue
            if distance <= 16:
                mask |= 1 << (distance - 1)
                continue
            out += U16_PAIR.pack(pid, mask)
        pid, mask = seq & 0xFFFF, 0
    if pid is not None:
        out += U16_PAIR.pack(pid, mask)
    return bytes(out)


def parse_nack_fci(body: bytes, offset: int) -> tuple[int, ...]:
    """Sequence numbers of the (PID, BLP) pairs from `offset` to the end."""
    seqs: list[int] = []
    for pid, mask in U16_PAIR.iter_unpack(body[offset : offset + (len(body) - offset) // 4 * 4]):
        seqs.append(pid)
        while mask:
            low = mask & -mask
            seqs.append((pid + low.bit_length()) & 0xFFFF)
            mask ^= low
    return tuple(seqs)


def encode_feedback_body(packet: Feedback) -> tuple[int, int, bytes]:
    """(packet type, FMT, body after the common header) of a feedback message, unpadded."""
    if isinstance(packet, Nack):
        head = U32_PAIR.pack(packet.sender_ssrc, packet.media_ssrc)
        return 205, RTPFB_NACK, head + encode_nack_fci(packet.seqs)
    if isinstance(packet, PictureLoss):
        return 206, PSFB_PLI, U32_PAIR.pack(packet.sender_ssrc, packet.media_ssrc)
    if isinstance(packet, FullIntraRequest):
        entries = b"".join(_FIR_ENTRY.pack(ssrc, nr & 0xFF) for ssrc, nr in packet.entries)
        return 206, PSFB_FIR, U32_PAIR.pack(packet.sender_ssrc, 0) + entries
    if isinstance(packet, Remb):
        return 206, PSFB_APP, _encode_remb(packet)
    return 205, RTPFB_TRANSPORT_CC, _encode_transport(packet)


def parse_rtpfb(fmt: int, body: bytes) -> Nack | TransportFeedback | None:
    """Transport-layer feedback (type 205), None for an unknown FMT. Raises RtcpError."""
    if len(body) < 8:
        raise RtcpError("feedback without its SSRCs")
    if fmt == RTPFB_NACK:
        sender, media = U32_PAIR.unpack_from(body)
        return Nack(sender, media, parse_nack_fci(body, 8))
    if fmt == RTPFB_TRANSPORT_CC:
        return _parse_transport(body)
    return None


def parse_psfb(fmt: int, body: bytes) -> PictureLoss | FullIntraRequest | Remb | None:
    """Payload-specific feedback (type 206), None for an unknown FMT. Raises RtcpError."""
    if len(body) < 8:
        raise RtcpError("feedback without its SSRCs")
    sender, media = U32_PAIR.unpack_from(body)
    if fmt == PSFB_PLI:
        return PictureLoss(sender, media)
    if fmt == PSFB_FIR:
        whole = body[8 : 8 + (len(body) - 8) // 8 * 8]
        return FullIntraRequest(sender, tuple(_FIR_ENTRY.iter_unpack(whole)))
    if fmt == PSFB_APP and body[8:12] == REMB_NAME:
        return _parse_remb(sender, body)
    return None


def _encode_remb(packet: Remb) -> bytes:
    exponent = max(0, packet.bitrate_bps.bit_length() - 18)
    mantissa = packet.bitrate_bps >> exponent
    return b"".join(
        (
            U32_PAIR.pack(packet.sender_ssrc, 0),
            REMB_NAME,
            U32.pack(len(packet.ssrcs) << 24 | exponent << 18 | mantissa),
            *(U32.pack(ssrc) for ssrc in packet.ssrcs),
        )
    )


def _parse_remb(sender: int, body: bytes) -> Remb:
    if len(body) < 16:
        raise RtcpError("REMB cut short")
    (word,) = U32.unpack_from(body, 12)
    count = word >> 24
    if len(body) < 16 + 4 * count:
        raise RtcpError("REMB with fewer SSRCs than it says")
    ssrcs = unpack_from(f"!{count}I", body, 16)
    return Remb((word & 0x3FFFF) << (word >> 18 & 0x3F), ssrcs, sender)


def _encode_transport(packet: TransportFeedback) -> bytes:
    symbols = [_symbol(delta) for delta in packet.deltas]
    out = bytearray(U32_PAIR.pack(packet.sender_ssrc, packet.media_ssrc))
    out += _TWCC_HEAD.pack(
        packet.base_seq & 0xFFFF,
        len(symbols),
        (packet.reference_time & 0xFFFFFF) << 8 | (packet.feedback_count & 0xFF),
    )
    out += _encode_chunks(symbols)
    for delta in packet.deltas:
        if delta is None:
            continue
        out += (
            delta.to_bytes(1, "big") if 0 <= delta <= 255 else delta.to_bytes(2, "big", signed=True)
        )
    return bytes(out)


def _symbol(delta: int | None) -> int:
    if delta is None:
        return _NOT_RECEIVED
    return _SMALL_DELTA if 0 <= delta <= 255 else _LARGE_DELTA


def _encode_chunks(symbols: Sequence[int]) -> bytes:
    """Status chunks (section 3.1.2 … 3.1.4): a run when it is long, else a vector of 14 or 7."""
    out = bytearray()
    at, count = 0, len(symbols)
    while at < count:
        first = symbols[at]
        run = 1
        while at + run < count and run < _MAX_RUN and symbols[at + run] == first:
            run += 1
        fourteen = symbols[at : at + 14]
        one_bit = _LARGE_DELTA not in fourteen
        if run >= (14 if one_bit else 7) or at + run == count:
            chunk, used = first << 13 | run, run
        elif one_bit:
            chunk, used = 0x8000, len(fourteen)
            for i, symbol in enumerate(fourteen):
                chunk |= symbol << (13 - i)
        else:
            seven = fourteen[:7]
            chunk, used = 0xC000, len(seven)
            for i, symbol in enumerate(seven):
                chunk |= symbol << (12 - 2 * i)
        out += chunk.to_bytes(2, "big")
        at += used
    return bytes(out)


def _parse_transport(body: bytes) -> TransportFeedback:
    if len(body) < 16:
        raise RtcpError("transport feedback cut short")
    sender, media = U32_PAIR.unpack_from(body)
    base_seq, count, tail = _TWCC_HEAD.unpack_from(body, 8)
    if count > MAX_STATUS_COUNT:
        raise RtcpError("transport feedback claims too many packets")
    reference = tail >> 8
    if reference >= 0x800000:
        reference -= 0x1000000
    symbols, at = _parse_chunks(body, 16, count)
    deltas: list[int | None] = []
    try:
        for symbol in symbols:
            if symbol == _SMALL_DELTA:
                deltas.append(body[at])
                at += 1
            elif symbol == _LARGE_DELTA:
                deltas.append(int(unpack_from("!h", body, at)[0]))
                at += 2
            else:
                deltas.append(None)
    except (IndexError, error) as problem:
        raise RtcpError("transport feedback lacks deltas") from problem
    return TransportFeedback(sender, media, base_seq, reference, tail & 0xFF, tuple(deltas))


def _parse_chunks(body: bytes, at: int, count: int) -> tuple[list[int], int]:
    """`count` status symbols and the offset behind their chunks."""
    symbols: list[int] = []
    while len(symbols) < count:
        if at + 2 > len(body):
            raise RtcpError("transport feedback lacks status chunks")
        chunk = body[at] << 8 | body[at + 1]
        at += 2
        if not chunk & 0x8000:
            run = min(chunk & _MAX_RUN, count - len(symbols))
            symbols.extend([chunk >> 13 & 3] * run)
        elif not chunk & 0x4000:
            symbols.extend(chunk >> shift & 1 for shift in range(13, -1, -1))
        else:
            symbols.extend(chunk >> shift & 3 for shift in range(12, -1, -2))
    del symbols[count:]
    return symbols, at
