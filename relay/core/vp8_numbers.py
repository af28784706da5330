"""Picture id and TL0PICIDX of VP8 as one viewer sees them (RFC 7741 section 4.2).

libwebrtc holds a frame back while a picture id below it is missing, so these numbers go on without
a break when frames are left out and when a viewer is moved from one stream to another. A viewer
has an offset for each; viewers who have had nothing but one whole stream have zeros, and their
packets are sent as they came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relay.core.codecs.base import CodecError
from relay.core.codecs.vp8 import parse_vp8_descriptor
from relay.core.thinning import PictureId, Thinning

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vp8Numbers:
    """Numbers of one payload and the bytes at which they stand; None where it has none."""

    picture_id: PictureId | None
    picture_id_at: int
    tl0: int | None
    tl0_at: int


@dataclass(frozen=True, slots=True)
class Vp8Offsets:
    """What a viewer's numbers are ahead of those it is sent."""

    picture_id: int = 0
    tl0: int = 0


UNMOVED = Vp8Offsets()


@dataclass(frozen=True, slots=True)
class Vp8Vectors:
    """Offsets of n viewers: int64[n] each."""

    picture_id: _I64
    tl0: _I64


def vp8_numbers(payload: bytes) -> Vp8Numbers | None:
    """Numbers of a payload, or None if it has none that could be read."""
    try:
        descriptor = parse_vp8_descriptor(payload)
    except CodecError:
        return None
    picture_id = descriptor.picture_id
    if picture_id is None and descriptor.tl0_picture_index is None:
        return None
    return Vp8Numbers(
        None if picture_id is None else PictureId(picture_id, descriptor.picture_id_bits),
        descriptor.picture_id_at,
        descriptor.tl0_picture_index,
        descriptor.tl0_at,
    )


def picture_id_of(codec_name: str, payload: bytes) -> PictureId | None:
    """A payload's picture id, if its codec has one that must be closed up."""
    numbers = vp8_numbers(payload) if codec_name == "VP8" else None
    return None if numbers is None else numbers.picture_id


def seen(numbers: Vp8Numbers, thinning: Thinning | None, offsets: Vp8Offsets) -> Vp8Numbers:
    """The numbers that a viewer sees."""
    picture_id, tl0 = numbers.picture_id, numbers.tl0
    if picture_id is not None:
        value = _thinned(picture_id, thinning) + offsets.picture_id
        picture_id = PictureId(value & ((1 << picture_id.bits) - 1), picture_id.bits)
    if tl0 is not None:
        tl0 = (tl0 + offsets.tl0) & 0xFF
    return Vp8Numbers(picture_id, numbers.picture_id_at, tl0, numbers.tl0_at)


def offsets_after(last: Vp8Numbers | None, first: Vp8Numbers | None) -> Vp8Offsets:
    """Offsets under which `first` (a key frame's, as sent) comes right after `last`, as seen."""
    picture_id = tl0 = 0
    if last is not None and first is not None:
        if last.picture_id is not None and first.picture_id is not None:
            picture_id = last.picture_id.value + 1 - first.picture_id.value
        if last.tl0 is not None and first.tl0 is not None:
            tl0 = last.tl0 + 1 - first.tl0
    return Vp8Offsets(picture_id, tl0)


def renumbered(payload: bytes, thinning: Thinning | None, offsets: Vp8Offsets) -> bytes:
    """A payload with the numbers that a viewer sees."""
    numbers = vp8_numbers(payload)
    if numbers is None:
        return payload
    rows = np.frombuffer(payload, np.uint8)[None, :].copy()
    vectors = Vp8Vectors(np.array([offsets.picture_id]), np.array([offsets.tl0]))
    write_numbers(rows, 0, numbers, thinning, vectors)
    return rows.tobytes()


def write_numbers(
    rows: npt.NDArray[np.uint8],
    payload_at: int,
    numbers: Vp8Numbers,
    thinning: Thinning | None,
    vectors: Vp8Vectors,
) -> None:
    """Write what n viewers see into rows (uint8[n, bytes]) whose payload begins at `payload_at`."""
    if numbers.picture_id is not None:
        at, bits = payload_at + numbers.picture_id_at, numbers.picture_id.bits
        ids = _thinned(numbers.picture_id, thinning) + vectors.picture_id
        if bits == 15:
            rows[:, at : at + 2] = (ids | 0x8000).astype(">u2").view(np.uint8).reshape(-1, 2)
        else:
            rows[:, at] = ids & 0x7F
    if numbers.tl0 is not None and vectors.tl0.any():
        rows[:, payload_at + numbers.tl0_at] = numbers.tl0 + vectors.tl0 & 0xFF


def _thinned(picture_id: PictureId, thinning: Thinning | None) -> int:
    return picture_id.value if thinning is None else thinning.picture_place(picture_id)
