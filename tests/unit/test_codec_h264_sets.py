"""Parameter sets of real encoders, and their repair in flight."""

from __future__ import annotations

import base64

import av
import pytest
from aiortc.codecs.h264 import h264_depayload

from relay.core.codecs import CodecError, inspector_for
from relay.core.codecs.h264 import nal_starts
from relay.core.codecs.h264_repair import MAX_SETS, ParameterSetRepair
from relay.core.codecs.h264_sets import parse_pps, parse_sprop_parameter_sets, parse_sps
from tests.unit.encoded_clips import fu_a, h264, h264_packets, nals, stap


def sets_of(unit: bytes) -> tuple[bytes, bytes]:
    """(SPS, PPS) of an access unit."""
    by_type = {nal[0] & 0x1F: nal for nal in nals(unit)}
    return by_type[7], by_type[8]


@pytest.mark.parametrize(
    ("profile", "pixel_format", "name", "chroma", "depth"),
    [
        ("baseline", "yuv420p", "Constrained Baseline", 1, 8),
        ("main", "yuv420p", "Main", 1, 8),
        ("high", "yuv420p", "High", 1, 8),
        ("high10", "yuv420p10le", "High 10", 1, 10),
        ("high422", "yuv422p", "High 4:2:2", 2, 8),
        ("high444", "yuv444p", "High 4:4:4 Predictive", 3, 8),
    ],
)
def test_profile_and_colour(
    profile: str, pixel_format: str, name: str, chroma: int, depth: int
) -> None:
    sps = parse_sps(sets_of(h264(profile=profile, pixel_format=pixel_format)[0][0])[0])
    assert (sps.profile_name, sps.chroma_format, sps.bit_depth) == (name, chroma, depth)
    assert (sps.width, sps.height, sps.progressive) == (320, 176, True)


@pytest.mark.parametrize("size", [(320, 180), (426, 240), (638, 358), (1920, 1080)])
def test_cropping(size: tuple[int, int]) -> None:
    sps = parse_sps(sets_of(h264(count=1, size=size)[0][0])[0])
    assert (sps.width, sps.height) == size


def test_interlaced_size_and_hrd() -> None:
    params = "interlaced=1:nal-hrd=cbr:vbv-maxrate=400:vbv-bufsize=400"
    sps = parse_sps(sets_of(h264(params=params, count=1, size=(320, 180))[0][0])[0])
    assert (sps.width, sps.height, sps.progressive) == (320, 180, False)
    assert sps.max_reorder_frames == 0


def test_reordering_is_announced() -> None:
    assert parse_sps(sets_of(h264(b_frames=2)[0][0])[0]).may_reorder
    assert not parse_sps(sets_of(h264()[0][0])[0]).may_reorder
    assert not parse_sps(sets_of(h264(profile="baseline")[0][0])[0]).may_reorder


def test_cut_sets_are_refused_not_misread() -> None:
    sps, pps = sets_of(h264()[0][0])
    for size in range(len(sps) - 4):
        with pytest.raises(CodecError):
            parse_sps(sps[:size])
    with pytest.raises(CodecError):
        parse_pps(pps[:1])
    with pytest.raises(CodecError):
        parse_sps(pps)


def test_sprop() -> None:
    sps, pps = sets_of(h264()[0][0])
    text = ",".join(base64.b64encode(nal).decode() for nal in (sps, pps))
    assert parse_sprop_parameter_sets(text) == [sps, pps]
    assert parse_sprop_parameter_sets("") == []
    for bad in ("%%%", "Z0I", "é"):
        with pytest.raises(CodecError):
            parse_sprop_parameter_sets(bad)


def repaired(repair: ParameterSetRepair, payloads: list[bytes], timestamp: int) -> list[bytes]:
    """Payloads as the caller would send them."""
    out: list[bytes] = []
    for payload in payloads:
        extra = repair.before(payload, timestamp)
        if extra is not None:
            out.append(extra)
        out.append(payload)
    return out


def decoded(payloads: list[bytes]) -> int:
    """Frames that a fresh decoder makes of these payloads."""
    decoder = av.CodecContext.create("h264", "r")
    frames = 0
    try:
        for packet in decoder.parse(b"".join(h264_depayload(p) for p in payloads)):
            frames += len(decoder.decode(packet))
        for packet in decoder.parse(b""):
            frames += len(decoder.decode(packet))
        frames += len(decoder.decode(None))
    except av.error.InvalidDataError:
        return 0
    return frames


def test_a_late_joiner_decodes_only_the_repaired_stream() -> None:
    units = [unit for unit, _, _ in h264()]
    repair = ParameterSetRepair()
    bare: list[bytes] = []
    whole: list[bytes] = []
    for index, unit in enumerate(units):
        payloads = h264_packets(unit, drop=(7, 8) if index else ())
        out = repaired(repair, payloads, 3000 * index)
        if index >= 10:
            bare += payloads
            whole += out
    assert decoded(bare) == 0
    assert decoded(whole) == 10
    assert repair.inserted == 1
    assert [whole[0][n.start - 1 : n.end] for n in nal_starts(whole[0])] == list(sets_of(units[0]))


def test_whole_streams_are_left_alone() -> None:
    repair = ParameterSetRepair()
    for index, (unit, _, _) in enumerate(h264(params="slices=3")):
        payloads = h264_packets(unit)
        assert repaired(repair, payloads, index) == payloads
    assert repair.inserted == 0


def test_sets_in_a_stap_or_in_the_idr_packet_are_seen() -> None:
    sps, pps = sets_of(h264()[0][0])
    idr = next(n for n in nals(h264()[0][0]) if n[0] & 0x1F == 5)
    repair = ParameterSetRepair()
    assert repaired(repair, [stap([sps, pps]), *fu_a(idr)], 1)[0] == stap([sps, pps])
    assert repair.before(stap([sps, pps, b"\x65\x88\x84\x00"]), 2) is None
    assert repair.inserted == 0


def test_several_slices_are_repaired_once_and_again_for_the_next_picture() -> None:
    sps, pps = sets_of(h264()[0][0])
    repair = ParameterSetRepair(",".join(base64.b64encode(n).decode() for n in (sps, pps)))
    first, second = b"\x65\x88\x84\x00", b"\x65\x42\x20\x84"
    assert repair.knows_sets
    assert repair.before(second, 1) is None
    assert repair.before(first, 1) is not None
    assert repair.before(first, 1) is None
    assert repair.before(second, 1) is None
    assert repair.before(first, 2) is not None


def test_nothing_is_invented() -> None:
    sps, pps = sets_of(h264()[0][0])
    repair = ParameterSetRepair("not base64 at all")
    assert not repair.knows_sets
    assert repair.before(b"\x65\x88\x84\x00", 1) is None
    repair.before(sps, 2)
    assert repair.before(b"\x65\x88\x84\x00", 2) is None
    repair.before(pps, 3)
    assert repair.before(b"\x65\x88\x84\x00", 4) is not None
    # 1 00010 00 0… : an I slice of picture parameter set 7, which nobody has sent.
    assert repair.before(bytes((0x65, 0b10001000, 0b00100000, 0)), 5) is None


def test_sets_kept_are_bounded() -> None:
    repair = ParameterSetRepair()
    for number in range(40):
        code = f"{number + 1:b}"
        bits = "0" * (len(code) - 1) + code + "1"
        body = int(bits.ljust(16, "0"), 2).to_bytes(2, "big")
        repair.before(b"\x68" + body, number)
    assert len(repair._pps) == MAX_SETS
    assert 39 in repair._pps


def test_repair_names_what_is_malformed() -> None:
    repair = ParameterSetRepair()
    for payload in (b"", b"\x7c", b"\x18\x00", b"\x67\x42"):
        with pytest.raises(CodecError):
            repair.before(payload, 1)


def test_the_inserted_packet_is_a_start_point() -> None:
    sps, pps = sets_of(h264()[0][0])
    repair = ParameterSetRepair(",".join(base64.b64encode(n).decode() for n in (sps, pps)))
    inserted = repair.before(b"\x65\x88\x84\x00", 1)
    assert inserted is not None
    assert inspector_for("H264")(inserted).keyframe
