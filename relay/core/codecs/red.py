"""Redundant audio (RFC 2198): older frames travel in front of the newest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.codecs.base import AUDIO_FRAME, CodecError, PayloadInfo

MAX_BLOCKS = 16
MAX_OFFSET_TICKS = 0x3FFF
MAX_BLOCK_BYTES = 0x03FF
"""Of an older block: 14 and 10 bits in its header."""

_FOLLOWS = 0x80
_HEADER_BYTES = 4


@dataclass(slots=True, frozen=True)
class RedBlock:
    """One block. timestamp_offset: ticks before the packet's timestamp, 0 for the newest."""

    payload_type: int
    timestamp_offset: int
    data: bytes


def parse_red(payload: bytes) -> tuple[RedBlock, ...]:
    """Blocks, oldest first; the last is the primary one. Raises CodecError."""
    headers: list[tuple[int, int, int]] = []
    at = 0
    while at < len(payload) and payload[at] & _FOLLOWS:
        if at + _HEADER_BYTES > len(payload) or len(headers) == MAX_BLOCKS - 1:
            raise CodecError("RED header is cut short, or has too many blocks")
        word = int.from_bytes(payload[at : at + _HEADER_BYTES], "big")
        headers.append((word >> 24 & 0x7F, word >> 10 & 0x3FFF, word & 0x03FF))
        at += _HEADER_BYTES
    if at >= len(payload):
        raise CodecError("RED packet without a primary block")
    primary_type = payload[at]
    at += 1
    blocks: list[RedBlock] = []
    for payload_type, offset, length in headers:
        if at + length > len(payload):
            raise CodecError("RED block runs past its packet")
        blocks.append(RedBlock(payload_type, offset, payload[at : at + length]))
        at += length
    blocks.append(RedBlock(primary_type, 0, payload[at:]))
    return tuple(blocks)


def build_red(blocks: Sequence[RedBlock]) -> bytes:
    """A payload of blocks, oldest first; the last is the primary one.

    Raises ValueError for no block, or an older one whose offset or length its header cannot say.
    """
    if not blocks:
        raise ValueError("RED needs a primary block")
    headers = bytearray()
    for block in blocks[:-1]:
        offset, length = block.timestamp_offset, len(block.data)
        if not 0 <= offset <= MAX_OFFSET_TICKS or length > MAX_BLOCK_BYTES:
            raise ValueError(f"RED block of {length} bytes, {offset} ticks back")
        word = (_FOLLOWS | block.payload_type) << 24 | offset << 10 | length
        headers += word.to_bytes(_HEADER_BYTES, "big")
    headers.append(blocks[-1].payload_type)
    return bytes(headers) + b"".join(block.data for block in blocks)


def inspect_red(payload: bytes) -> PayloadInfo:
    """Every packet begins a frame. Raises CodecError."""
    parse_red(payload)
    return AUDIO_FRAME
