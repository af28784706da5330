"""H.264 payloads: where pictures and key frames begin, and which slices are B."""

from __future__ import annotations

import pytest

from relay.core.codecs import CodecError, inspector_for
from relay.core.codecs.h264 import (
    SLICE_B,
    SLICE_I,
    SLICE_P,
    inspect_h264,
    nal_starts,
    parse_slice_header,
    slice_types,
    stap_a,
    unescape,
)
from tests.unit.encoded_clips import fu_a, h264, h264_packets, nals, stap

SPS, PPS, SEI = b"\x67\x42\xe0\x1f\xda", b"\x68\xce\x3c\x80", b"\x06\x05\x01\x00\x80"
IDR, IDR_SECOND = b"\x65\x88\x84\x00", b"\x65\x42\x20\x84"
P, P_SECOND, P_UNREFERENCED = b"\x41\xe0\x01", b"\x41\x70\x01", b"\x01\xe0\x01"
I_SLICE = b"\x41\xb0\x01"


@pytest.mark.parametrize(
    ("payload", "keyframe", "frame_start", "sets", "sets_only"),
    [
        pytest.param(SPS, True, True, True, True, id="sps alone"),
        pytest.param(PPS, False, True, True, True, id="pps alone"),
        pytest.param(SEI, False, True, False, False, id="sei alone"),
        pytest.param(b"\x09\xf0", False, True, False, False, id="access unit delimiter"),
        pytest.param(b"\x0c\xff\x80", False, False, False, False, id="filler"),
        pytest.param(IDR, True, True, False, False, id="idr"),
        pytest.param(IDR_SECOND, False, False, False, False, id="second slice of an idr picture"),
        pytest.param(P, False, True, False, False, id="p"),
        pytest.param(P_SECOND, False, False, False, False, id="second slice of a p picture"),
        pytest.param(I_SLICE, False, True, False, False, id="i slice that is no idr"),
        pytest.param(stap([SPS, PPS]), True, True, True, True, id="stap of sets"),
        pytest.param(stap([SPS, PPS, IDR]), True, True, True, False, id="stap of all"),
        pytest.param(stap([SPS, PPS, P]), False, True, True, False, id="sets repeated before p"),
        pytest.param(stap([SPS, PPS, I_SLICE]), True, True, True, False, id="sets before i"),
        pytest.param(stap([SEI, P]), False, True, False, False, id="sei and p"),
        pytest.param(b"\x7c\x85\x88\x84", True, True, False, False, id="fu-a start of idr"),
        pytest.param(b"\x7c\x85\x40\x84", False, False, False, False, id="fu-a of second slice"),
        pytest.param(b"\x7c\x05\x88\x84", False, False, False, False, id="fu-a middle"),
        pytest.param(b"\x7c\x45\x88\x84", False, False, False, False, id="fu-a end"),
        pytest.param(b"\x5c\x81\xe0\x84", False, True, False, False, id="fu-a start of p"),
        pytest.param(b"\x7c\x85", True, True, False, False, id="fu-a start without data"),
    ],
)
def test_what_a_payload_tells(
    payload: bytes, keyframe: bool, frame_start: bool, sets: bool, sets_only: bool
) -> None:
    info = inspect_h264(payload)
    assert (info.keyframe, info.frame_start) == (keyframe, frame_start)
    assert (info.parameter_sets, info.parameter_sets_only) == (sets, sets_only)


@pytest.mark.parametrize(
    ("payload", "discardable"),
    [
        (P, False),
        (P_UNREFERENCED, True),
        (b"\x1c\x81\xe0\x84", True),
        (b"\x1c\x01\xe0\x84", True),
        (b"\x7c\x01\xe0\x84", False),
        (stap([SEI, P_UNREFERENCED]), True),
        (stap([P, P_UNREFERENCED]), False),
        (SEI, False),
    ],
)
def test_only_unreferenced_slices_are_discardable(payload: bytes, discardable: bool) -> None:
    assert inspect_h264(payload).discardable is discardable


def test_prefix_unit_tells_the_temporal_layer() -> None:
    prefix = b"\x6e\x40\x80\x47"
    assert inspect_h264(stap([prefix, P])).temporal_id == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x1f\x00",
        b"\x7c",
        b"\x18",
        b"\x18\x00",
        b"\x18\x00\x02",
        b"\x18\x00\x00\x41",
        b"\x18\x00\x09\x41",
        b"\x19\x00\x00\x00\x01\x41",
        b"\x1d\x85\x00\x00",
    ],
)
def test_malformed_and_interleaved_payloads(payload: bytes) -> None:
    with pytest.raises(CodecError):
        inspect_h264(payload)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\x88\x84", (0, SLICE_I, 0)),
        (b"\xe0", (0, SLICE_P, 0)),
        (b"\x9b", (0, SLICE_P, 0)),
        (b"\xac", (0, SLICE_B, 0)),
        pytest.param(b"\x49\x00", (1, SLICE_B, 1), id="010 010 010"),
    ],
)
def test_slice_header(body: bytes, expected: tuple[int, int, int]) -> None:
    header = parse_slice_header(body)
    assert (header.first_mb, header.slice_type, header.pps_id) == expected


def test_real_streams_show_their_b_slices() -> None:
    for b_frames in (0, 2):
        packets = [p for unit, _, _ in h264(b_frames=b_frames) for p in h264_packets(unit)]
        types = {kind for p in packets for kind in slice_types(p)}
        assert (SLICE_B in types) is (b_frames > 0)
        assert SLICE_I in types


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("aggregate", [False, True])
def test_each_picture_begins_once_and_key_frames_where_the_encoder_put_them(
    slices: int, aggregate: bool
) -> None:
    for unit, _, is_key in h264(params=f"slices={slices}"):
        units = nals(unit)
        if aggregate and is_key:
            payloads = [stap(units[:2])] + [p for n in units[2:] for p in fu_a(n)]
        else:
            payloads = [p for n in units for p in fu_a(n)]
        infos = [inspect_h264(p) for p in payloads]
        assert infos[0].frame_start
        assert any(info.keyframe for info in infos) is is_key
        assert infos[0].keyframe is is_key
        slice_starts = sum(
            info.frame_start
            for info, p in zip(infos, payloads, strict=True)
            if any(nal.type in (1, 5) for nal in nal_starts(p))
        )
        assert slice_starts == 1


def test_stap_a_is_read_back() -> None:
    payload = stap_a([SPS, PPS])
    assert payload[0] == 0x78
    assert [payload[n.start - 1 : n.end] for n in nal_starts(payload)] == [SPS, PPS]
    with pytest.raises(ValueError, match="nothing"):
        stap_a([])


def test_emulation_prevention_is_taken_out() -> None:
    assert unescape(b"\x00\x00\x03\x00\x00\x03\x01") == b"\x00\x00\x00\x00\x01"


def test_inspectors_are_found_by_name() -> None:
    assert inspector_for("h264") is inspect_h264
    assert all(inspector_for(n) for n in ("VP8", "VP9", "AV1", "OPUS", "RED"))
    with pytest.raises(LookupError):
        inspector_for("H265")
