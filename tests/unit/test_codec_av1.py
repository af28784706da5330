"""AV1 payloads: aggregation, key frames, sequence headers of a real encoder."""

from __future__ import annotations

import pytest

from relay.core.codecs import CodecError
from relay.core.codecs.av1 import av1_elements, av1_frame_size, av1_sequence, inspect_av1
from tests.unit.encoded_clips import Unit, av1_packets, leb128, video_units

FRAME, FRAME_LAYER = b"\x30\x01", b"\x34\x48\x01"
SEQUENCE = b"\x08\x00\x00\x00"
TILES = b"\x20\x01"


def clip() -> tuple[Unit, ...]:
    options = (("preset", "12"), ("svtav1-params", "pred-struct=1:keyint=10:rc=2:rtc=1"))
    return video_units("libsvtav1", options)


def joined(*units: bytes) -> bytes:
    return b"".join(leb128(len(unit)) + unit for unit in units)


@pytest.mark.parametrize(
    ("payload", "keyframe", "start", "sets"),
    [
        (b"\x08" + joined(SEQUENCE, FRAME), True, True, True),
        (b"\x00" + joined(SEQUENCE, FRAME), True, True, True),
        (b"\x10" + FRAME, False, True, False),
        (b"\x50" + FRAME, False, True, False),
        (b"\x90" + FRAME, False, False, False),
        (b"\x10" + TILES, False, False, False),
        (b"\xa0" + joined(TILES) + TILES, False, False, False),
        (b"\x20" + joined(b"\x12\x00") + FRAME, False, True, False),
    ],
)
def test_what_a_payload_tells(payload: bytes, keyframe: bool, start: bool, sets: bool) -> None:
    info = inspect_av1(payload)
    assert (info.keyframe, info.frame_start, info.parameter_sets) == (keyframe, start, sets)


def test_layers() -> None:
    info = inspect_av1(b"\x10" + FRAME_LAYER)
    assert (info.temporal_id, info.spatial_id) == (2, 1)
    assert not info.frame_start


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x10",
        b"\x98\x30",
        b"\x88" + joined(FRAME),
        b"\x00\x05\x30",
        b"\x00\x80\x80",
        b"\x20" + joined(FRAME),
        b"\x10\xb0",
        b"\x00" + joined(FRAME) * 65,
    ],
)
def test_malformed(payload: bytes) -> None:
    with pytest.raises(CodecError):
        inspect_av1(payload)


def test_elements() -> None:
    payload = b"\xf0" + joined(b"ab", b"c") + b"def"
    elements = av1_elements(payload)
    assert [payload[e.start : e.end] for e in elements] == [b"ab", b"c", b"def"]
    assert [e.continues for e in elements] == [True, False, False]


def test_real_frames() -> None:
    units = clip()
    assert sum(key for _, _, key in units) == 2
    for data, _, key in units:
        packets = av1_packets(data, new_sequence=key)
        infos = [inspect_av1(p) for p in packets]
        assert [i.frame_start for i in infos] == [True] + [False] * (len(packets) - 1)
        assert [i.keyframe for i in infos] == [key] + [False] * (len(packets) - 1)
        assert av1_frame_size(packets[0]) == ((320, 176) if key else None)


def test_a_cut_sequence_header_is_not_read() -> None:
    whole = av1_packets(clip()[0][0], new_sequence=True)[0]
    assert av1_sequence(whole) is not None
    first = next(iter(av1_elements(whole)))
    assert av1_sequence(b"\x58" + whole[first.start : first.end - 2]) is None
