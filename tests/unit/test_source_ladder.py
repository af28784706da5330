"""Layers of the source: sizes, rates, and who gives up first."""

from __future__ import annotations

import numpy as np
import pytest

from hub.source.ladder import PLANS, Ladder, share_out

FULL = 2_700_000


@pytest.mark.parametrize(
    ("bits", "sending"),
    [(FULL, "hml"), (2_000_000, "hml"), (1_300_000, "ml"), (300_000, "ml"), (100_000, "l")],
)
def test_the_richest_layer_goes_first(bits: int, sending: str) -> None:
    rates = share_out(PLANS[3], FULL, bits)
    rids = "".join(p.rid for p, rate in zip(PLANS[3], rates, strict=True) if rate)
    assert rids == sending
    assert sum(rates) <= bits + 3


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_layers_share_their_times_and_have_key_frames_of_their_own(codec: str) -> None:
    ladder = Ladder(codec, 640, 360, 30, 1_000_000, 3)  # type: ignore[arg-type]
    picture = np.full((540, 640), 90, np.uint8)
    units = [u for n in range(60) for u in ladder.encode_i420(picture, n / 30)]
    times = [{u.media_s for u in units if u.layer == layer} for layer in range(3)]
    assert len(times[0]) == len(times[1]) == 60
    assert 18 <= len(times[2]) <= 32
    assert times[2] <= times[0]
    before = len(units)
    ladder.request_keyframe(1)
    units += [u for n in range(60, 64) for u in ladder.encode_i420(picture, n / 30)]
    keys = {u.layer for u in units[before:] if u.keyframe and u.media_s < 62 / 30}
    assert 1 in keys


def test_a_layer_left_out_comes_back_with_a_key_frame() -> None:
    ladder = Ladder("h264", 640, 360, 30, FULL, 3)
    picture = np.full((540, 640), 90, np.uint8)
    ladder.encode_i420(picture, 0.0)
    ladder.set_bitrate(300_000)
    units = [u for n in range(1, 20) for u in ladder.encode_i420(picture, n / 30)]
    assert {u.layer for u in units} == {1, 2}
    ladder.set_bitrate(FULL)
    units = [u for n in range(20, 40) for u in ladder.encode_i420(picture, n / 30)]
    assert next(u for u in units if u.layer == 0).keyframe
