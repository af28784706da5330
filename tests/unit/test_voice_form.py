"""Sound that carries the frames before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codecs.base import CodecError
from relay.core.codecs.red import RedBlock, build_red, parse_red
from relay.core.line.voice_repair import CALM_MS, VoiceRepair
from relay.core.negotiation import CodecParameters
from relay.core.packet import MediaPacket
from relay.core.voice_form import VoiceForm, VoiceForms, voice_form

OPUS = CodecParameters(111, "OPUS", 48_000, channels=2)
RED = CodecParameters(63, "RED", 48_000, channels=2, fmtp={"111/111": ""})
FORM = VoiceForm(2, 63, 111)

older = st.tuples(st.integers(0, 127), st.integers(0, 0x3FFF), st.binary(max_size=0x3FF))


@given(st.lists(older, max_size=15), st.integers(0, 127), st.binary(max_size=200))
def test_what_is_built_is_read_again(
    parts: list[tuple[int, int, bytes]], primary_type: int, primary: bytes
) -> None:
    blocks = (*(RedBlock(*part) for part in parts), RedBlock(primary_type, 0, primary))
    assert parse_red(build_red(blocks)) == blocks


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(payload: bytes) -> None:
    try:
        blocks = parse_red(payload)
    except CodecError:
        return
    assert sum(len(b.data) for b in blocks) < len(payload)


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [RedBlock(111, 0x4000, b"a"), RedBlock(111, 0, b"b")],
        [RedBlock(111, 1, bytes(0x400)), RedBlock(111, 0, b"b")],
    ],
)
def test_what_a_header_cannot_say_is_refused(blocks: list[RedBlock]) -> None:
    with pytest.raises(ValueError, match="RED"):
        build_red(blocks)


def sound(seq: int, size: int = 40) -> MediaPacket:
    return MediaPacket(seq, seq * 960, bytes([seq % 256]) * size, 111, False, False, True, 0.0)


def test_each_packet_carries_the_two_before_it_and_is_built_once() -> None:
    kept = {n: sound(n) for n in range(10)}
    forms = VoiceForms(kept.get)
    first = forms.packet(kept[5], FORM)
    blocks = parse_red(first.payload)
    assert [(b.timestamp_offset, b.data[0]) for b in blocks] == [(1920, 3), (960, 4), (0, 5)]
    del kept[4]
    assert forms.packet(sound(5), FORM) == first
    assert forms.built(sound(5), FORM) == first
    assert forms.built(sound(6), FORM) is None


def test_a_hole_a_pause_or_a_large_frame_ends_the_older_ones() -> None:
    kept = {1: sound(1), 3: sound(3), 4: sound(4, 1200), 5: sound(5)}
    forms = VoiceForms(kept.get)
    assert len(parse_red(forms.packet(kept[3], FORM).payload)) == 1
    assert len(parse_red(forms.packet(kept[5], FORM).payload)) == 1
    late = sound(6)._replace(timestamp=6 * 960 + 20_000)
    assert len(parse_red(forms.packet(late, FORM).payload)) == 1


def test_only_who_knows_red_for_its_opus_gets_it() -> None:
    assert voice_form((OPUS, RED), 2) == FORM
    assert voice_form((OPUS, RED), 0) is None
    assert voice_form((OPUS,), 2) is None
    other = CodecParameters(63, "RED", 48_000, channels=2, fmtp={"0/5": ""})
    assert voice_form((OPUS, other), 1) is None


def level(
    repair: VoiceRepair,
    loss: float,
    now_ms: float,
    *,
    floor: float = 0.0,
    filled: bool = False,
    line_bps: float = 1e9,
) -> int:
    return repair.update(
        loss, floor, filled=filled, line_bps=line_bps, voice_bps=40e3, now_ms=now_ms
    )


def test_levels_rise_at_once_and_fall_after_a_while() -> None:
    repair = VoiceRepair()
    assert level(repair, 0.0, 0.0) == 0
    assert level(repair, 0.02, 100.0) == 1
    assert level(repair, 0.2, 200.0) == 2
    assert level(repair, 0.0, 300.0) == 2
    assert level(repair, 0.0, 200.0 + CALM_MS) == 0


def test_a_line_that_loses_because_it_is_full_is_not_filled_more() -> None:
    repair = VoiceRepair()
    assert level(repair, 0.3, 0.0, filled=True) == 0
    assert level(repair, 0.3, 100.0, floor=0.2, filled=True) == 2
    assert level(repair, 0.3, 200.0, line_bps=200e3) == 1
    assert level(repair, 0.3, 300.0, line_bps=100e3) == 0
