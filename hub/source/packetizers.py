"""Encoded frames to RTP payloads: H.264 (RFC 6184), VP8 (RFC 7741), Opus (RFC 7587).

A frame is cut into pieces of nearly one size, so that a sender with UDP GSO may send it as one
train and no runt follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

MAX_PAYLOAD_BYTES = 1160
"""With RTP header (12), extensions (≤ 28), RTX (2), SRTP tag (16), UDP and IPv6 (48): < 1280."""

_START_CODE = re.compile(b"\x00\x00\x01")
_STAP_A = 24
_FU_A = 28
_FU_HEADER_BYTES = 2
_NAL_AUD, _NAL_FILLER = 9, 12


class Packetizer(Protocol):
    """Turns one encoded frame into RTP payloads, in order; the last one gets the marker."""

    def packetize(self, frame: bytes, *, keyframe: bool = False) -> list[bytes]: ...


def split_nals(stream: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B byte stream, without start codes and trailing zeros."""
    starts = [match.end() for match in _START_CODE.finditer(stream)]
    for index, start in enumerate(starts):
        end = starts[index + 1] - 3 if index + 1 < len(starts) else len(stream)
        nal = stream[start:end].rstrip(b"\x00")
        if nal:
            yield nal


def even_pieces(data: bytes, max_bytes: int) -> list[bytes]:
    """`data` in the fewest pieces of at most `max_bytes`, all but the last of equal size."""
    count = max(1, -(-len(data) // max_bytes))
    size = -(-len(data) // count)
    return [data[at : at + size] for at in range(0, len(data), size)]


class H264Packetizer:
    """packetization-mode=1: single NALs, STAP-A for the small ones, FU-A for the large."""

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._max = max_payload_bytes

    def packetize(self, frame: bytes, *, keyframe: bool = False) -> list[bytes]:
        payloads: list[bytes] = []
        group: list[bytes] = []
        for nal in split_nals(frame):
            if nal[0] & 0x1F in (_NAL_AUD, _NAL_FILLER):
                continue
            if len(nal) + 3 > self._max or _stap_size([*group, nal]) > self._max:
                payloads += _flush(group)
                group = []
            if len(nal) > self._max:
                payloads += self._fragment(nal)
            else:
                group.append(nal)
        return payloads + _flush(group)

    def _fragment(self, nal: bytes) -> list[bytes]:
        """FU-A (RFC 6184 section 5.8)."""
        indicator = nal[0] & 0xE0 | _FU_A
        kind = nal[0] & 0x1F
        pieces = even_pieces(nal[1:], self._max - _FU_HEADER_BYTES)
        last = len(pieces) - 1
        return [
            bytes((indicator, kind | (0x80 if i == 0 else 0) | (0x40 if i == last else 0))) + piece
            for i, piece in enumerate(pieces)
        ]


def _stap_size(nals: list[bytes]) -> int:
    return 1 + sum(2 + len(nal) for nal in nals)


def _flush(nals: list[bytes]) -> list[bytes]:
    """One payload of whole NALs: as it is, or as STAP-A (RFC 6184 section 5.7.1)."""
    if len(nals) < 2:
        return nals
    # F is the OR, NRI the maximum of the NALs within.
    head = max(nal[0] & 0x60 for nal in nals) | _STAP_A
    if any(nal[0] & 0x80 for nal in nals):
        head |= 0x80
    body = b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)
    return [bytes((head,)) + body]


class Vp8Packetizer:
    """VP8 payload descriptor with a 15-bit picture id."""

    def __init__(
        self, max_payload_bytes: int = MAX_PAYLOAD_BYTES, first_picture_id: int = 0
    ) -> None:
        self._max = max_payload_bytes
        self._picture_id = first_picture_id & 0x7FFF

    def packetize(self, frame: bytes, *, keyframe: bool = False) -> list[bytes]:
        picture = (0x8000 | self._picture_id).to_bytes(2, "big")
        self._picture_id = (self._picture_id + 1) & 0x7FFF
        first = True
        payloads = []
        for piece in even_pieces(frame, self._max - 4):
            # X, then S on the first piece of partition 0; I: a picture id follows.
            payloads.append(bytes((0x90 if first else 0x80, 0x80)) + picture + piece)
            first = False
        return payloads


class OpusPacketizer:
    """One Opus packet is one payload."""

    def packetize(self, frame: bytes, *, keyframe: bool = False) -> list[bytes]:
        return [frame]
