"""Opus packets (RFC 6716 section 3, RFC 7587): duration, silence, in-band FEC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relay.core.codecs.base import AUDIO_FRAME, CodecError, PayloadInfo

Mode = Literal["silk", "hybrid", "celt"]

DTX_BYTES = 2
"""A packet of at most so many bytes codes no sound: the decoder makes comfort noise."""
MAX_DURATION_MS = 120.0

_MAX_FRAME_BYTES = 1275
_SILK_MS = (10.0, 20.0, 40.0, 60.0)
_HYBRID_MS = (10.0, 20.0)
_CELT_MS = (2.5, 5.0, 10.0, 20.0)
_FRAME_MS = _SILK_MS * 3 + _HYBRID_MS * 2 + _CELT_MS * 4
"""Frame duration by configuration number, RFC 6716 table 2."""
_FIRST_HYBRID, _FIRST_CELT = 12, 16
_SILK_FRAME_MS = 20.0


@dataclass(slots=True, frozen=True)
class OpusPacket:
    """Frames of one packet. frame_bytes: size of each; frames_at: offset of the first."""

    mode: Mode
    stereo: bool
    frame_ms: float
    frames_at: int
    frame_bytes: tuple[int, ...]

    @property
    def duration_ms(self) -> float:
        """Sound that the packet holds."""
        return self.frame_ms * len(self.frame_bytes)


def parse_opus(payload: bytes) -> OpusPacket:
    """Parse the table-of-contents byte and the frame lengths (RFC 6716 section 3.2).

    Raises CodecError where [R1] … [R7] of section 3.4 are broken.
    """
    if not payload:
        raise CodecError("empty Opus packet")
    toc = payload[0]
    config = toc >> 3
    frame_ms = _FRAME_MS[config]
    code = toc & 0x03
    rest = len(payload) - 1
    at = 1
    if code == 0:
        sizes: tuple[int, ...] = (rest,)
    elif code == 1:
        if rest % 2:
            raise CodecError("two Opus frames of unequal size")
        sizes = (rest // 2, rest // 2)
    elif code == 2:
        first, at = _length(payload, at, len(payload))
        sizes = (first, len(payload) - at - first)
    else:
        sizes, at = _many(payload, frame_ms)
    if any(size < 0 or size > _MAX_FRAME_BYTES for size in sizes):
        raise CodecError("Opus frame runs past its packet")
    mode: Mode = "silk" if config < _FIRST_HYBRID else "hybrid" if config < _FIRST_CELT else "celt"
    return OpusPacket(mode, bool(toc & 0x04), frame_ms, at, sizes)


def _length(payload: bytes, at: int, end: int) -> tuple[int, int]:
    """A frame length of one or two bytes (section 3.2.1) and the offset after it."""
    if at >= end:
        raise CodecError("Opus frame length is missing")
    first = payload[at]
    if first < 252:
        return first, at + 1
    if at + 1 >= end:
        raise CodecError("Opus frame length is missing")
    return 4 * payload[at + 1] + first, at + 2


def _many(payload: bytes, frame_ms: float) -> tuple[tuple[int, ...], int]:
    """Sizes and start of a code 3 packet (section 3.2.5)."""
    if len(payload) < 2:
        raise CodecError("Opus frame count is missing")
    count = payload[1] & 0x3F
    if not count or count * frame_ms > MAX_DURATION_MS:
        raise CodecError(f"{count} Opus frames of {frame_ms} ms")
    at, end = 2, len(payload)
    if payload[1] & 0x40:
        more = 255
        while more == 255:
            if at >= end:
                raise CodecError("Opus padding length is missing")
            more = payload[at]
            at += 1
            end -= 254 if more == 255 else more
    if end < at:
        raise CodecError("Opus padding runs past its packet")
    if payload[1] & 0x80:
        sizes: list[int] = []
        for _ in range(count - 1):
            size, at = _length(payload, at, end)
            sizes.append(size)
        sizes.append(end - at - sum(sizes))
        return tuple(sizes), at
    if (end - at) % count:
        raise CodecError("Opus frames of unequal size")
    return ((end - at) // count,) * count, at


def is_dtx(payload: bytes) -> bool:
    """The encoder had nothing to say (RFC 7587 section 3.1.3)."""
    return len(payload) <= DTX_BYTES


def has_fec(payload: bytes) -> bool:
    """The packet repeats the one before it at a low bitrate (LBRR, RFC 6716 section 4.2.4).

    Raises CodecError.
    """
    packet = parse_opus(payload)
    if packet.mode == "celt" or not packet.frame_bytes[0]:
        return False
    # Per channel one voice flag for each SILK frame and then the LBRR flag lead the range coder's
    # first byte, each of probability one half, so that they lie there as plain bits.
    silk_frames = max(1, int(packet.frame_ms / _SILK_FRAME_MS))
    lead = payload[packet.frames_at]
    mid = lead >> (7 - silk_frames) & 0x01
    side = lead >> (6 - 2 * silk_frames) & 0x01 if packet.stereo else 0
    return bool(mid | side)


def inspect_opus(payload: bytes) -> PayloadInfo:
    """Every packet begins a frame. Raises CodecError for a packet that breaks section 3.4."""
    if not payload:
        raise CodecError("empty Opus packet")
    if payload[0] & 0x03:
        parse_opus(payload)
    return AUDIO_FRAME
