"""VP8 descriptors as RFC 7741 draws them, and real key frames."""

from __future__ import annotations

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codecs import CodecError
from relay.core.codecs.vp8 import inspect_vp8, parse_vp8_descriptor, vp8_frame_size
from tests.unit.encoded_clips import video_units

KEY, DELTA = b"\x10\x02\x00\x9d\x01\x2a\x40\x01\xb0\x00", b"\x11\x02\x00"


def optional(values: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), values)


@given(
    st.booleans(),
    st.integers(0, 7),
    optional(st.integers(0, 0x7FFF)),
    optional(st.integers(0, 255)),
    optional(st.tuples(st.integers(0, 3), st.integers(0, 1))),  # type: ignore[arg-type]
    optional(st.integers(0, 31)),
)
def test_descriptors_of_aiortc_read_the_same(
    start: bool,
    partition: int,
    picture_id: int | None,
    tl0: int | None,
    layer: tuple[int, int] | None,
    key_index: int | None,
) -> None:
    head = bytes(
        VpxPayloadDescriptor(
            partition_start=int(start),
            partition_id=partition,
            picture_id=picture_id,
            tl0picidx=tl0,
            tid=layer,
            keyidx=key_index,
        )
    )
    ours = parse_vp8_descriptor(head + DELTA)
    assert ours.size == len(head)
    assert (ours.starts_partition, ours.partition) == (start, partition)
    assert (ours.picture_id, ours.tl0_picture_index) == (picture_id, tl0)
    assert ours.temporal_id == (None if layer is None else layer[0])
    assert ours.layer_sync == (layer is not None and bool(layer[1]))
    assert ours.key_index == key_index
    if tl0 is not None:
        assert head[ours.tl0_at] == tl0
    if picture_id is not None:
        width = ours.picture_id_bits + 1
        field = int.from_bytes(head[ours.picture_id_at : ours.picture_id_at + width // 8], "big")
        assert field & ((1 << ours.picture_id_bits) - 1) == picture_id
    info = inspect_vp8(head + DELTA)
    assert info.frame_start == (start and partition == 0)
    assert (info.temporal_id, info.layer_sync) == (ours.temporal_id or 0, ours.layer_sync)
    assert not info.keyframe
    assert inspect_vp8(head + KEY).keyframe == (start and partition == 0)


@pytest.mark.parametrize(
    ("payload", "keyframe", "start", "discardable"),
    [
        (b"\x10" + KEY, True, True, False),
        (b"\x10" + DELTA, False, True, False),
        (b"\x30" + DELTA, False, True, True),
        (b"\x00" + KEY, False, False, False),
        (b"\x11" + KEY, False, False, False),
        (b"\x90\x80\x81\x23" + KEY, True, True, False),
        (b"\x90\xe0\x81\x23\x07\x60" + DELTA, False, True, False),
    ],
)
def test_what_a_payload_tells(
    payload: bytes, keyframe: bool, start: bool, discardable: bool
) -> None:
    info = inspect_vp8(payload)
    assert (info.keyframe, info.frame_start) == (keyframe, start)
    assert info.discardable is discardable


@pytest.mark.parametrize(
    "payload", [b"", b"\x10", b"\x90", b"\x90\x80", b"\x90\x80\x81\x23", b"\x90\xf0\x81\x23\x07"]
)
def test_cut_payloads(payload: bytes) -> None:
    with pytest.raises(CodecError):
        inspect_vp8(payload)


def test_real_frames() -> None:
    units = video_units("libvpx", (("g", "10"), ("deadline", "realtime"), ("lag-in-frames", "0")))
    assert sum(key for _, _, key in units) == 2
    for data, _, key in units:
        assert inspect_vp8(b"\x10" + data).keyframe is key
        assert vp8_frame_size(b"\x10" + data) == ((320, 176) if key else None)


def test_size_needs_the_whole_header_and_its_start_code() -> None:
    assert vp8_frame_size(b"\x10" + KEY[:9]) is None
    with pytest.raises(CodecError):
        vp8_frame_size(b"\x10" + KEY[:3] + b"\x9d\x01\x2b" + KEY[6:])
