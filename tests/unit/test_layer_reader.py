"""Temporal layers as ingest reads them: from the payload, a descriptor, or a frame's beginning."""

from __future__ import annotations

from relay.core.codecs.av1 import inspect_av1
from relay.core.codecs.h264 import inspect_h264
from relay.core.codecs.vp8 import inspect_vp8
from relay.core.codecs.vp9 import inspect_vp9
from relay.core.layer_reader import LayerReader
from tests.unit.test_codec_dependency_descriptor import key_descriptor, mandatory, packed

ID = 12
AV1_UNIT = bytes((0x10, 0x34, 0x48, 1, 2))
"""A frame unit with temporal id 2."""
AV1_FRAGMENT = bytes((0x90, 1, 2, 3))


def test_vp8() -> None:
    reader = LayerReader("VP8", 0)
    sync, plain = b"\x90\xe0\x05\x07\x60\x01", b"\x90\xe0\x05\x07\x40\x01"
    key = b"\x90\xe0\x05\x07\x00\x00"
    assert reader.read(inspect_vp8(sync), 1, {}) == (1, 1)
    assert reader.read(inspect_vp8(plain), 1, {}) == (1, 0)
    assert reader.read(inspect_vp8(key), 1, {}) == (0, 7)


def test_vp9() -> None:
    reader = LayerReader("VP9", 0)
    assert reader.read(inspect_vp9(bytes.fromhex("ec813835078249")), 1, {}) == (1, 1)
    assert reader.read(inspect_vp9(bytes.fromhex("ec8138400782")), 1, {}) == (2, 0)


def test_h264_by_its_descriptor() -> None:
    reader = LayerReader("H264", ID)
    key, delta = inspect_h264(b"\x65\x88\x84"), inspect_h264(b"\x41\x9a\x02")
    assert reader.read(delta, 1, {ID: packed(mandatory(3, 1))}) == (0, 0)
    assert reader.unreadable == 1
    assert reader.read(key, 2, {ID: key_descriptor()}) == (0, 7)
    assert reader.read(delta, 3, {ID: packed(mandatory(3, 2))}) == (2, 0)
    assert reader.read(delta, 4, {ID: packed(mandatory(2, 3))}) == (1, 2)
    assert reader.read(delta, 5, {}) == (0, 0)
    assert LayerReader("H264", 0).read(delta, 1, {0: key_descriptor()}) == (0, 0)


def test_the_rest_of_a_frame_follows_its_first_packet() -> None:
    reader = LayerReader("AV1", 0)
    assert reader.read(inspect_av1(AV1_UNIT), 10, {}) == (2, 0)
    assert reader.read(inspect_av1(AV1_FRAGMENT), 10, {}) == (2, 0)
    assert reader.read(inspect_av1(AV1_FRAGMENT), 11, {}) == (0, 0)
