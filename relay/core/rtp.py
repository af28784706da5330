"""RTP packets on the wire (RFC 3550 section 5.1) and header extensions (RFC 8285).

Parsing copies only the payload and the extension values. One-byte and two-byte extension forms
are read; an element that runs past its block ends the extensions but not the packet, because
the payload is still good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct

HEADER_BYTES = 12
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
"""Upper twelve bits of the two-byte form; the lower four are application bits."""

_HEADER = Struct("!BBHII")
_U16_PAIR = Struct("!HH")
_ONE_BYTE_STOP_ID = 15


class RtpError(ValueError):
    """The bytes are not an RTP packet."""


@dataclass(slots=True)
class RtpView:
    """A parsed RTP packet; numbers are as on the wire, not extended.

    extensions: header extension id to value. payload: without header, extensions and padding.
    padding_bytes: padding that was cut off, its count byte included.
    """

    payload_type: int
    marker: bool
    seq: int
    timestamp: int
    ssrc: int
    extensions: dict[int, bytes] = field(default_factory=dict)
    payload: bytes = b""
    padding_bytes: int = 0


def is_rtcp(data: bytes) -> bool:
    """True when an RTP/RTCP datagram is RTCP: packet type 192 … 223 (RFC 5761 section 4)."""
    return len(data) >= 2 and 192 <= data[1] <= 223


def parse_rtp(data: bytes) -> RtpView:
    """Parse a clear RTP packet. Raises RtpError when it is cut short or contradicts itself."""
    size = len(data)
    if size < HEADER_BYTES:
        raise RtpError("shorter than an RTP header")
    first, second, seq, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise RtpError("RTP version is not 2")
    offset = HEADER_BYTES + 4 * (first & 0x0F)
    extensions: dict[int, bytes] = {}
    if first & 0x10:
        if offset + 4 > size:
            raise RtpError("extension header cut short")
        profile, words = _U16_PAIR.unpack_from(data, offset)
        start = offset + 4
        offset = start + 4 * words
        if offset > size:
            raise RtpError("extension block cut short")
        if profile == ONE_BYTE_PROFILE:
            _read_one_byte(data, start, offset, extensions)
        elif profile & 0xFFF0 == TWO_BYTE_PROFILE:
            _read_two_byte(data, start, offset, extensions)
    if offset > size:
        raise RtpError("contributing sources cut short")
    padding = 0
    if first & 0x20:
        padding = data[-1]
        if not 0 < padding <= size - offset:
            raise RtpError("padding longer than the payload")
    return RtpView(
        second & 0x7F,
        second >= 0x80,
        seq,
        timestamp,
        ssrc,
        extensions,
        data[offset : size - padding],
        padding,
    )


def _read_one_byte(data: bytes, at: int, end: int, into: dict[int, bytes]) -> None:
    """RFC 8285 section 4.2: 4 bits id, 4 bits length - 1; id 0 is padding, 15 ends."""
    while at < end:
        head = data[at]
        at += 1
        if not head:
            continue
        stop = at + (head & 0x0F) + 1
        ident = head >> 4
        if ident == _ONE_BYTE_STOP_ID or stop > end:
            return
        if ident:
            into[ident] = data[at:stop]
        at = stop


def _read_two_byte(data: bytes, at: int, end: int, into: dict[int, bytes]) -> None:
    """RFC 8285 section 4.3: a byte of id, a byte of length; id 0 is padding."""
    while at < end:
        ident = data[at]
        if not ident:
            at += 1
            continue
        if at + 2 > end:
            return
        stop = at + 2 + data[at + 1]
        if stop > end:
            return
        into[ident] = data[at + 2 : stop]
        at = stop


def build_rtp(
    *,
    payload_type: int,
    seq: int,
    timestamp: int,
    ssrc: int,
    payload: bytes = b"",
    marker: bool = False,
    extensions: Mapping[int, bytes] | None = None,
    padding_bytes: int = 0,
) -> bytes:
    """An RTP packet; `seq` and `timestamp` may be extended and are cut to 16 and 32 bits.

    The one-byte extension form is used when every element fits it, else the two-byte form.
    Raises ValueError for an id, value or padding that no form can carry.
    """
    if not 0 <= padding_bytes <= 255:
        raise ValueError("padding is 0 … 255 bytes")
    if not 0 <= payload_type <= 127:
        raise ValueError("payload type is 0 … 127")
    block = _extension_block(extensions) if extensions else b""
    header = _HEADER.pack(
        0x80 | (0x20 if padding_bytes else 0) | (0x10 if block else 0),
        (0x80 if marker else 0) | payload_type,
        seq & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    padding = bytes(padding_bytes - 1) + bytes((padding_bytes,)) if padding_bytes else b""
    return b"".join((header, block, payload, padding))


def _extension_block(extensions: Mapping[int, bytes]) -> bytes:
    one_byte = all(1 <= i <= 14 and 1 <= len(v) <= 16 for i, v in extensions.items())
    elements = bytearray()
    for ident, value in extensions.items():
        if not 1 <= ident <= 255 or len(value) > 255:
            raise ValueError("extension id is 1 … 255 and its value at most 255 bytes")
        elements += bytes((ident << 4 | len(value) - 1,) if one_byte else (ident, len(value)))
        elements += value
    elements += bytes(-len(elements) % 4)
    profile = ONE_BYTE_PROFILE if one_byte else TWO_BYTE_PROFILE
    return _U16_PAIR.pack(profile, len(elements) // 4) + bytes(elements)
