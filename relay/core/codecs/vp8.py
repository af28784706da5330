"""VP8 in RTP (RFC 7741): the payload descriptor and the key-frame header."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.codecs.base import CONTINUATION, CodecError, PayloadInfo, shared_info

_X, _N, _S = 0x80, 0x20, 0x10
_PARTITION_MASK = 0x07
_I, _L, _T, _K = 0x80, 0x40, 0x20, 0x10
_KEY_HEADER_BYTES = 10
_START_CODE = b"\x9d\x01\x2a"
_SIZE_MASK = 0x3FFF
"""Upper two bits of a dimension are its upscaling."""


@dataclass(slots=True, frozen=True)
class Vp8Descriptor:
    """Payload descriptor (section 4.2) with the places of what a rewriter must renumber.

    size: bytes of the descriptor; the VP8 data follows. starts_partition: S. partition: PID.
    non_reference: N. picture_id: 7 or 15 bits (`picture_id_bits`), at byte `picture_id_at`, the
    M bit included there. tl0_picture_index: TL0PICIDX at byte `tl0_at`. None, and place 0, where
    absent. temporal_id: TID. layer_sync: Y. key_index: KEYIDX.
    """

    size: int
    starts_partition: bool
    partition: int
    non_reference: bool
    picture_id: int | None
    picture_id_bits: int
    picture_id_at: int
    tl0_picture_index: int | None
    tl0_at: int
    temporal_id: int | None
    layer_sync: bool
    key_index: int | None


def parse_vp8_descriptor(payload: bytes) -> Vp8Descriptor:
    """Parse the descriptor of one payload. Raises CodecError when it is cut short."""
    try:
        return _descriptor(payload)
    except IndexError:
        raise CodecError("VP8 descriptor ends too soon") from None


def _descriptor(payload: bytes) -> Vp8Descriptor:
    first = payload[0]
    at = 1
    picture_id = tl0 = temporal_id = key_index = None
    picture_id_bits = picture_id_at = tl0_at = 0
    sync = False
    if first & _X:
        present = payload[1]
        at = 2
        if present & _I:
            picture_id_at = at
            picture_id = payload[at] & 0x7F
            picture_id_bits = 7
            if payload[at] & 0x80:
                at += 1
                picture_id = picture_id << 8 | payload[at]
                picture_id_bits = 15
            at += 1
        if present & _L:
            tl0_at, tl0 = at, payload[at]
            at += 1
        if present & (_T | _K):
            layers = payload[at]
            at += 1
            if present & _T:
                temporal_id, sync = layers >> 6, bool(layers & 0x20)
            if present & _K:
                key_index = layers & 0x1F
    return Vp8Descriptor(
        at,
        bool(first & _S),
        first & _PARTITION_MASK,
        bool(first & _N),
        picture_id,
        picture_id_bits,
        picture_id_at,
        tl0,
        tl0_at,
        temporal_id,
        sync,
        key_index,
    )


def inspect_vp8(payload: bytes) -> PayloadInfo:
    """Inspect one payload; `keyframe` on the first packet of a key frame. Raises CodecError."""
    try:
        first = payload[0]
        at, temporal_id, sync = 1, 0, False
        if first & _X:
            present = payload[1]
            at = 2
            if present & _I:
                at += 2 if payload[2] & 0x80 else 1
            if present & _L:
                at += 1
            if present & (_T | _K):
                if present & _T:
                    layers = payload[at]
                    temporal_id, sync = layers >> 6, layers & 0x20 != 0
                at += 1
        begins = first & (_S | _PARTITION_MASK) == _S
        if payload[at] & 0x01 == 0 and begins:
            return shared_info(True, True, False, False, False, temporal_id, 0, sync)
    except IndexError:
        raise CodecError("VP8 payload ends too soon") from None
    discardable = first & _N != 0
    if not (begins or discardable or temporal_id or sync):
        return CONTINUATION
    return shared_info(False, begins, False, False, discardable, temporal_id, 0, sync)


def vp8_frame_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels from the first packet of a key frame (RFC 6386 section 9.1).

    None for any other packet, or one too short to hold the header. Raises CodecError for a bad
    descriptor or start code.
    """
    descriptor = parse_vp8_descriptor(payload)
    head = payload[descriptor.size : descriptor.size + _KEY_HEADER_BYTES]
    begins = descriptor.starts_partition and descriptor.partition == 0
    if not begins or len(head) < _KEY_HEADER_BYTES or head[0] & 0x01:
        return None
    if head[3:6] != _START_CODE:
        raise CodecError("VP8 key frame without its start code")
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return width & _SIZE_MASK, height & _SIZE_MASK
