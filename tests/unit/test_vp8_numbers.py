"""VP8 picture id and TL0PICIDX as viewers see them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codecs.vp8 import parse_vp8_descriptor
from relay.core.thinning import PictureId, Thinning
from relay.core.vp8_numbers import (
    Vp8Numbers,
    Vp8Offsets,
    Vp8Vectors,
    offsets_after,
    picture_id_of,
    renumbered,
    seen,
    vp8_numbers,
    write_numbers,
)

LONG = b"\x90\xe0\x81\x23\x07\x60\x01rest"
SHORT = b"\x90\xe0\x23\x07\x60\x01rest"
BARE = b"\x10\x01rest"


def test_numbers_and_their_places() -> None:
    assert vp8_numbers(LONG) == Vp8Numbers(PictureId(0x123, 15), 2, 7, 4)
    assert vp8_numbers(SHORT) == Vp8Numbers(PictureId(0x23, 7), 2, 7, 3)
    assert vp8_numbers(BARE) is None
    assert vp8_numbers(b"") is None
    assert picture_id_of("VP8", LONG) == PictureId(0x123, 15)
    assert picture_id_of("VP9", LONG) is None


@pytest.mark.parametrize("payload", [LONG, SHORT])
@given(picture_id=st.integers(-70_000, 70_000), tl0=st.integers(-600, 600))
def test_renumbered_is_what_is_seen(payload: bytes, picture_id: int, tl0: int) -> None:
    offsets = Vp8Offsets(picture_id, tl0)
    numbers = vp8_numbers(payload)
    assert numbers is not None
    written = renumbered(payload, None, offsets)
    assert vp8_numbers(written) == seen(numbers, None, offsets)
    assert len(written) == len(payload)
    before, after = parse_vp8_descriptor(payload), parse_vp8_descriptor(written)
    assert (after.size, after.temporal_id, after.layer_sync) == (
        before.size,
        before.temporal_id,
        before.layer_sync,
    )
    assert written[after.size :] == payload[before.size :]


def test_nothing_to_write() -> None:
    assert renumbered(BARE, None, Vp8Offsets(5, 5)) == BARE
    assert renumbered(LONG, None, Vp8Offsets()) == LONG


@pytest.mark.parametrize(("payload", "mask"), [(LONG, 0x7FFF), (SHORT, 0x7F)])
@pytest.mark.parametrize("last_id", [0, 40, 127, 0x7FFF])
def test_a_key_frame_comes_right_after_what_was_seen(
    payload: bytes, mask: int, last_id: int
) -> None:
    last = Vp8Numbers(PictureId(last_id, 15), 2, 255, 4)
    first = vp8_numbers(payload)
    offsets = offsets_after(last, first)
    assert first is not None
    now = seen(first, None, offsets)
    assert now.picture_id is not None
    assert now.picture_id.value == (last_id + 1) & mask
    assert now.tl0 == 0


def test_without_numbers_nothing_moves() -> None:
    assert offsets_after(None, vp8_numbers(LONG)) == Vp8Offsets()
    assert offsets_after(vp8_numbers(LONG), None) == Vp8Offsets()


def test_rows_of_several_viewers() -> None:
    rows = np.frombuffer(b"head" + LONG, np.uint8)[None, :].repeat(3, 0)
    numbers = vp8_numbers(LONG)
    assert numbers is not None
    vectors = Vp8Vectors(np.array([0, 1, 0x7F00]), np.array([0, 250, -8]))
    write_numbers(rows, 4, numbers, Thinning(7), vectors)
    found = [vp8_numbers(row.tobytes()[4:]) for row in rows]
    assert [n.picture_id for n in found if n is not None] == [
        PictureId(0x123, 15),
        PictureId(0x124, 15),
        PictureId(0x023, 15),
    ]
    assert [n.tl0 for n in found if n is not None] == [7, 1, 255]
