"""Arbitrary payloads raise CodecError or nothing, in every parser and in the linter."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codecs import CodecError, PayloadInfo, inspector_for
from relay.core.codecs.av1 import av1_elements, av1_frame_size
from relay.core.codecs.h264 import nal_starts, parse_slice_header, slice_types
from relay.core.codecs.h264_repair import ParameterSetRepair
from relay.core.codecs.h264_sets import (
    parse_pps,
    parse_sprop_parameter_sets,
    parse_sps,
    parse_sps_id,
)
from relay.core.codecs.opus import has_fec, is_dtx, parse_opus
from relay.core.codecs.red import parse_red
from relay.core.codecs.vp8 import inspect_vp8, parse_vp8_descriptor, vp8_frame_size
from relay.core.codecs.vp9 import inspect_vp9, parse_vp9_descriptor, vp9_frame_size
from relay.core.lint import IngestLinter
from tests.unit.encoded_clips import h264, nals

CODECS = ("H264", "VP8", "VP9", "AV1", "OPUS", "RED")

noise = st.binary(max_size=80)
nal_unit = st.builds(
    lambda head, body: bytes((head,)) + body,
    st.sampled_from([0x67, 0x68, 0x65, 0x41, 0x01, 0x06, 0x6E]),
    st.binary(max_size=60),
)
stap_unit = st.lists(nal_unit, min_size=1, max_size=4).map(
    lambda units: b"\x78" + b"".join(len(u).to_bytes(2, "big") + u for u in units)
)
fragment = st.builds(
    lambda head, body: b"\x7c" + bytes((head,)) + body, st.integers(0, 255), st.binary(max_size=30)
)
payload = st.one_of(noise, nal_unit, stap_unit, fragment)


@st.composite
def damaged_sps(draw: st.DrawFn) -> bytes:
    """A real SPS, cut and with a few bytes changed."""
    profile = draw(st.sampled_from(["baseline", "high"]))
    whole = bytearray(nals(h264(profile=profile)[0][0])[0])
    for _ in range(draw(st.integers(0, 4))):
        whole[draw(st.integers(1, len(whole) - 1))] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(1, len(whole)))])


@pytest.mark.parametrize("name", CODECS)
@given(data=payload)
def test_inspectors(name: str, data: bytes) -> None:
    with contextlib.suppress(CodecError):
        info = inspector_for(name)(data)
        assert isinstance(info, PayloadInfo)
        assert info.frame_start or not info.keyframe or name == "AV1"


@pytest.mark.parametrize(
    "parse",
    [
        av1_elements,
        av1_frame_size,
        nal_starts,
        parse_slice_header,
        slice_types,
        parse_sps,
        parse_sps_id,
        parse_pps,
        parse_opus,
        has_fec,
        is_dtx,
        parse_red,
        parse_vp8_descriptor,
        vp8_frame_size,
        parse_vp9_descriptor,
        vp9_frame_size,
    ],
)
@given(data=payload)
def test_parsers(parse: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(CodecError):
        parse(data)


@given(damaged_sps())
def test_damaged_sps(nal: bytes) -> None:
    with contextlib.suppress(CodecError):
        sps = parse_sps(nal)
        assert sps.width > 0
        assert sps.height > 0
        assert 8 <= sps.bit_depth <= 14


@given(st.text(max_size=40))
def test_sprop(value: str) -> None:
    with contextlib.suppress(CodecError):
        parse_sprop_parameter_sets(value)
    ParameterSetRepair(value)


@given(st.lists(st.tuples(payload, st.integers(0, 5)), max_size=30))
def test_repair(packets: list[tuple[bytes, int]]) -> None:
    repair = ParameterSetRepair()
    repaired: set[int] = set()
    for data, timestamp in packets:
        with contextlib.suppress(CodecError):
            extra = repair.before(data, timestamp)
            if extra is not None:
                assert timestamp not in repaired
                repaired.add(timestamp)
                assert [nal.type for nal in nal_starts(extra)][:2] == [7, 8]


@given(payload)
def test_quick_and_full_vp_inspection_agree(data: bytes) -> None:
    for inspect, parse in (
        (inspect_vp8, parse_vp8_descriptor),
        (inspect_vp9, parse_vp9_descriptor),
    ):
        try:
            info = inspect(data)
        except CodecError:
            continue
        descriptor = parse(data)
        assert info.temporal_id == (descriptor.temporal_id or 0)
        assert info.layer_sync == descriptor.layer_sync


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CODECS),
            payload,
            st.integers(-(2**33), 2**33),
            st.floats(0, 500),
            st.one_of(st.none(), st.integers(0, 255)),
        ),
        max_size=40,
    )
)
def test_linter(packets: list[tuple[str, bytes, int, float, int | None]]) -> None:
    linter = IngestLinter()
    now_ms = 1000.0
    for codec, data, timestamp, step_ms, level in packets:
        now_ms += step_ms
        kind = "audio" if codec in ("OPUS", "RED") else "video"
        linter.on_packet(codec, kind, codec, data, timestamp, False, now_ms, level)  # type: ignore[arg-type]
        for finding in linter.poll(now_ms):
            assert finding.vi
            assert finding.en
            assert "{" not in finding.vi + finding.en
