"""AV1 in RTP (AOM "RTP Payload Format For AV1" 1.0): aggregation header and OBU elements."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.codecs.base import CONTINUATION, CodecError, PayloadInfo, shared_info
from relay.core.codecs.bits import BitReader

OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, OBU_FRAME_HEADER = 1, 2, 3
OBU_METADATA, OBU_FRAME = 5, 6

_Z, _Y, _N = 0x80, 0x40, 0x08
_FORBIDDEN, _EXTENSION, _HAS_SIZE = 0x80, 0x04, 0x02
_MAX_LEB128_BYTES = 8
_MAX_ELEMENTS = 64
_SEQUENCE_BYTES = 256
_PICTURES = frozenset((OBU_FRAME_HEADER, OBU_FRAME))
_BEGINNINGS = frozenset(
    (OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, OBU_FRAME_HEADER, OBU_METADATA, OBU_FRAME)
)


@dataclass(slots=True, frozen=True)
class Av1Element:
    """An OBU, or a fragment of one, in a payload: bytes start … end."""

    start: int
    end: int
    continues: bool
    """It began in an earlier packet."""


@dataclass(slots=True, frozen=True)
class Av1Sequence:
    """What a sequence header says (AV1 section 5.5.1). width, height: the most, in pixels."""

    profile: int
    level: int
    width: int
    height: int


def av1_elements(payload: bytes) -> list[Av1Element]:
    """OBU elements of one payload (section 4.4). Raises CodecError."""
    size = len(payload)
    if size < 2:
        raise CodecError("AV1 payload ends too soon")
    header = payload[0]
    if header & _N and header & _Z:
        raise CodecError("AV1 coded video sequence begins with a continued unit")
    count = header >> 4 & 0x03
    elements: list[Av1Element] = []
    at = 1
    while at < size:
        if count and len(elements) == count - 1:
            end = size
        else:
            length, at = _leb128(payload, at)
            end = at + length
        if end > size or len(elements) == _MAX_ELEMENTS:
            raise CodecError("AV1 element runs past its payload, or there are too many")
        elements.append(Av1Element(at, end, not elements and bool(header & _Z)))
        at = end
        if count == len(elements):
            break
    if len(elements) < count:
        raise CodecError("AV1 payload has fewer elements than it says")
    return elements


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """(value, offset after it) of a leb128 number."""
    value = 0
    for index in range(_MAX_LEB128_BYTES):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, at + index + 1
    raise CodecError("leb128 number does not end")


def inspect_av1(payload: bytes) -> PayloadInfo:
    """Inspect one payload; `keyframe` with the N bit, or with a sequence header.

    frame_start: the first unit begins here and may begin a frame. Raises CodecError.
    """
    if len(payload) > 1 and payload[0] & 0xB0 == 0x90:
        # One fragment that continues: the commonest packet.
        if payload[0] & _N:
            raise CodecError("AV1 coded video sequence begins with a continued unit")
        return CONTINUATION
    sequence = picture = begins = False
    temporal_id = spatial_id = 0
    for index, element in enumerate(av1_elements(payload)):
        if element.continues or element.start == element.end:
            continue
        header = payload[element.start]
        if header & _FORBIDDEN:
            raise CodecError("AV1 forbidden bit is set")
        kind = header >> 3 & 0x0F
        sequence = sequence or kind == OBU_SEQUENCE_HEADER
        picture = picture or kind in _PICTURES
        begins = begins or (index == 0 and kind in _BEGINNINGS)
        if header & _EXTENSION and element.end - element.start > 1:
            layers = payload[element.start + 1]
            temporal_id, spatial_id = layers >> 5, layers >> 3 & 0x03
    key = payload[0] & _N != 0 or sequence
    return shared_info(
        key,
        begins and (spatial_id == 0 or key),
        sequence,
        sequence and not picture,
        False,
        temporal_id,
        spatial_id,
    )


def av1_sequence(payload: bytes) -> Av1Sequence | None:
    """The sequence header in a payload, None without a whole one. Raises CodecError."""
    elements = av1_elements(payload)
    for element in elements:
        unit = payload[element.start : element.end]
        cut = payload[0] & _Y and element is elements[-1]
        if cut or element.continues or not unit or unit[0] >> 3 & 0x0F != OBU_SEQUENCE_HEADER:
            continue
        at = 2 if unit[0] & _EXTENSION else 1
        if unit[0] & _HAS_SIZE:
            _, at = _leb128(unit, at)
        return _sequence_header(unit[at : at + _SEQUENCE_BYTES])
    return None


def av1_frame_size(payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels that a payload's sequence header gives, or None."""
    sequence = av1_sequence(payload)
    return None if sequence is None else (sequence.width, sequence.height)


def _sequence_header(data: bytes) -> Av1Sequence:
    reader = BitReader(data)
    profile = reader.bits(3)
    reader.skip(1)
    level = reader.bits(5) if reader.flag() else _operating_points(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    width = reader.bits(width_bits) + 1
    return Av1Sequence(profile, level, width, reader.bits(height_bits) + 1)


def _operating_points(reader: BitReader) -> int:
    """Timing and operating points of a sequence header; the first point's level."""
    delay_bits = 0
    if reader.flag():
        reader.skip(64)
        if reader.flag():
            reader.exp_golomb()
        if reader.flag():
            delay_bits = reader.bits(5) + 1
            reader.skip(42)
    delayed = reader.flag()
    first_level = 0
    for index in range(reader.bits(5) + 1):
        reader.skip(12)
        level = reader.bits(5)
        if level > 7:
            reader.skip(1)
        if delay_bits and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if delayed and reader.flag():
            reader.skip(4)
        if index == 0:
            first_level = level
    return first_level
