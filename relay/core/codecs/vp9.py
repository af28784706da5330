"""VP9 in RTP (RFC 9628): the payload descriptor, flexible and not, and the frame size."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.codecs.base import CONTINUATION, CodecError, PayloadInfo, shared_info
from relay.core.codecs.bits import BitReader

_I, _P, _L, _F, _B, _E, _V, _Z = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
_MAX_REFERENCES = 3
_FRAME_MARKER = 2
_SYNC_CODE = 0x498342
_COLOR_RGB = 7
_HEADER_BYTES = 16


@dataclass(slots=True, frozen=True)
class Vp9Descriptor:
    """Payload descriptor (section 4.2).

    size: bytes of the descriptor; the VP9 data follows. picture_id: 7 or 15 bits, None if absent.
    predicted: P. flexible: F. starts_frame, ends_frame: B, E, of a frame of one spatial layer.
    not_upper_reference: Z. temporal_id, spatial_id: None without layer indices. layer_sync: U.
    inter_layer: D. tl0_picture_index: None in flexible mode. references: P_DIFF values.
    sizes: (width, height) per spatial layer where a scalability structure gives them.
    """

    size: int
    picture_id: int | None
    predicted: bool
    flexible: bool
    starts_frame: bool
    ends_frame: bool
    not_upper_reference: bool
    temporal_id: int | None
    spatial_id: int | None
    layer_sync: bool
    inter_layer: bool
    tl0_picture_index: int | None
    references: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]


def parse_vp9_descriptor(payload: bytes) -> Vp9Descriptor:
    """Parse the descriptor of one payload. Raises CodecError when it is cut short or wrong."""
    try:
        return _descriptor(payload)
    except IndexError:
        raise CodecError("VP9 descriptor ends too soon") from None


def _descriptor(payload: bytes) -> Vp9Descriptor:
    first = payload[0]
    at = 1
    picture_id = temporal_id = spatial_id = tl0 = None
    sync = inter_layer = False
    references: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    if first & _I:
        picture_id = payload[at] & 0x7F
        if payload[at] & 0x80:
            at += 1
            picture_id = picture_id << 8 | payload[at]
        at += 1
    if first & _L:
        layers = payload[at]
        at += 1
        temporal_id, sync = layers >> 5, bool(layers & 0x10)
        spatial_id, inter_layer = layers >> 1 & 0x07, bool(layers & 0x01)
        if not first & _F:
            tl0 = payload[at]
            at += 1
    if first & _F and first & _P:
        references, at = _references(payload, at)
    if first & _V:
        sizes, at = _scalability(payload, at)
    if at > len(payload):
        raise CodecError("VP9 scalability structure ends too soon")
    return Vp9Descriptor(
        at,
        picture_id,
        bool(first & _P),
        bool(first & _F),
        bool(first & _B),
        bool(first & _E),
        bool(first & _Z),
        temporal_id,
        spatial_id,
        sync,
        inter_layer,
        tl0,
        references,
        sizes,
    )


def _references(payload: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """P_DIFF bytes; N in the last bit says that one more follows."""
    found: list[int] = []
    more = True
    while more:
        if len(found) == _MAX_REFERENCES:
            raise CodecError("VP9 descriptor has more than three references")
        found.append(payload[at] >> 1)
        more = bool(payload[at] & 0x01)
        at += 1
    return tuple(found), at


def _scalability(payload: bytes, at: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """Section 4.2.1: frame sizes are kept, the picture group is stepped over."""
    head = payload[at]
    at += 1
    sizes: list[tuple[int, int]] = []
    if head & 0x10:
        for _ in range((head >> 5) + 1):
            sizes.append(
                (payload[at] << 8 | payload[at + 1], payload[at + 2] << 8 | payload[at + 3])
            )
            at += 4
    if head & 0x08:
        count = payload[at]
        at += 1
        for _ in range(count):
            at += 1 + (payload[at] >> 2 & 0x03)
    return tuple(sizes), at


def inspect_vp9(payload: bytes) -> PayloadInfo:
    """Inspect one payload; a picture begins with its lowest spatial layer. Raises CodecError."""
    try:
        first = payload[0]
        if first & (_B | _L | _V) == 0 and not first & _F:
            payload[_picture_id_end(payload)]
            return CONTINUATION
        temporal_id = spatial_id = 0
        sync = False
        if first & _L:
            layers = payload[_picture_id_end(payload)]
            temporal_id, sync, spatial_id = layers >> 5, layers & 0x10 != 0, layers >> 1 & 0x07
        if first & _V or (first & _F and first & _P):
            parse_vp9_descriptor(payload)
        else:
            payload[_picture_id_end(payload) + (2 if first & _L and not first & _F else 0)]
    except IndexError:
        raise CodecError("VP9 payload ends too soon") from None
    begins = first & _B != 0 and spatial_id == 0
    key = begins and not first & _P
    return shared_info(key, begins, False, False, False, temporal_id, spatial_id, sync)


def _picture_id_end(payload: bytes) -> int:
    if not payload[0] & _I:
        return 1
    return 3 if payload[1] & 0x80 else 2


def vp9_frame_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels from the first packet of a key frame.

    The largest layer of the scalability structure, or else the frame's own header (VP9 bitstream
    specification section 6.2). None for any other packet. Raises CodecError.
    """
    descriptor = parse_vp9_descriptor(payload)
    if not descriptor.starts_frame or descriptor.predicted or descriptor.spatial_id:
        return None
    if descriptor.sizes:
        return max(descriptor.sizes)
    reader = BitReader(payload[descriptor.size : descriptor.size + _HEADER_BYTES])
    if reader.bits(2) != _FRAME_MARKER:
        raise CodecError("VP9 frame marker is wrong")
    profile = reader.bits(1) | reader.bits(1) << 1
    if profile == 3:
        reader.skip(1)
    if reader.flag() or reader.flag():
        return None
    reader.skip(2)
    if reader.bits(24) != _SYNC_CODE:
        raise CodecError("VP9 sync code is wrong")
    if profile >= 2:
        reader.skip(1)
    if reader.bits(3) != _COLOR_RGB:
        reader.skip(1)
        reader.skip(3 if profile & 1 else 0)
    elif profile & 1:
        reader.skip(1)
    width = reader.bits(16) + 1
    return width, reader.bits(16) + 1
