"""VP9 descriptors as RFC 9628 draws them, and real key frames."""

from __future__ import annotations

import pytest

from relay.core.codecs import CodecError
from relay.core.codecs.vp9 import inspect_vp9, parse_vp9_descriptor, vp9_frame_size
from tests.unit.encoded_clips import video_units

DATA = b"\x82\x49\x83\x42"
SCALABILITY = bytes((0b001_1_1_000, 1, 64, 0, 176, 2, 128, 1, 104)) + bytes(
    (2, 0b000_0_01_00, 1, 0b001_1_10_00, 1, 2)
)
"""Two layers, 320×176 and 640×360, and a group of two pictures with one and two references."""


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("08", {"size": 1, "starts_frame": True, "predicted": False}),
        ("8c05", {"size": 2, "picture_id": 5, "ends_frame": True}),
        ("8c8123", {"size": 3, "picture_id": 0x123}),
        ("ac81233507", {"size": 5, "temporal_id": 1, "spatial_id": 2, "layer_sync": True}),
        ("ac81230107", {"inter_layer": True, "tl0_picture_index": 7}),
        ("bc812340", {"size": 4, "flexible": True, "temporal_id": 2, "tl0_picture_index": None}),
        ("dc0502", {"size": 3, "references": (1,)}),
        ("dc05030504", {"size": 5, "references": (1, 2, 2)}),
        ("09", {"not_upper_reference": True}),
    ],
)
def test_descriptor(head: str, expected: dict[str, object]) -> None:
    descriptor = parse_vp9_descriptor(bytes.fromhex(head) + DATA)
    assert {name: getattr(descriptor, name) for name in expected} == expected


def test_scalability_structure() -> None:
    payload = b"\x0a" + SCALABILITY + DATA
    descriptor = parse_vp9_descriptor(payload)
    assert descriptor.size == 1 + len(SCALABILITY)
    assert descriptor.sizes == ((320, 176), (640, 360))
    assert vp9_frame_size(payload) == (640, 360)
    assert inspect_vp9(payload).keyframe


@pytest.mark.parametrize(
    ("head", "keyframe", "start", "temporal", "spatial"),
    [
        ("8c8123", True, True, 0, 0),
        ("cc8123", False, True, 0, 0),
        ("848123", False, False, 0, 0),
        ("a881230007", True, True, 0, 0),
        ("a881230307", False, False, 0, 1),
        ("e881235007", False, True, 2, 0),
        ("dc05030504", False, True, 0, 0),
        ("9405", False, False, 0, 0),
    ],
)
def test_what_a_payload_tells(
    head: str, keyframe: bool, start: bool, temporal: int, spatial: int
) -> None:
    info = inspect_vp9(bytes.fromhex(head) + DATA)
    assert (info.keyframe, info.frame_start) == (keyframe, start)
    assert (info.temporal_id, info.spatial_id) == (temporal, spatial)


@pytest.mark.parametrize(
    "head", ["", "08", "8c", "8c81", "8c8123", "a881230007", "dc05", "dc05030505", "0a18", "0a0802"]
)
def test_cut_or_wrong_payloads(head: str) -> None:
    payload = bytes.fromhex(head)
    with pytest.raises(CodecError):
        inspect_vp9(payload + (b"\x03\x03" if head == "dc05030505" else b""))


def test_real_frames() -> None:
    options = (("g", "10"), ("deadline", "realtime"), ("lag-in-frames", "0"), ("cpu-used", "8"))
    units = video_units("libvpx-vp9", options)
    assert sum(key for _, _, key in units) == 2
    for data, _, key in units:
        payload = (b"\x8c\x05" if key else b"\xcc\x05") + data
        assert vp9_frame_size(payload) == ((320, 176) if key else None)


def test_a_frame_header_that_is_none() -> None:
    with pytest.raises(CodecError):
        vp9_frame_size(b"\x0c" + bytes(16))
    with pytest.raises(CodecError):
        vp9_frame_size(b"\x0c\x82" + bytes(16))
