"""Figures of a page, from what its probe tells."""

from __future__ import annotations

from typing import Any

import pytest

from tests.networks.rate import judge
from tests.networks.report import rate_table, spells
from tests.networks.series import (
    Series,
    Spell,
    at_time,
    longest_sound_gap,
    steady_from,
    stretch,
    timeline,
)

FRAME_MS = 1000 / 30
SUMS = (
    *("decoded", "dropped", "videoBytes", "videoPackets", "videoLost", "freezes", "freezeS"),
    *("audioBytes", "audioPackets", "audioLost", "concealed", "silent", "samples"),
    *("nacks", "plis", "rtx", "presented"),
)


def frames(begin: float, end: float, height: int = 720) -> list[tuple[float, int, int]]:
    """30 a second in [begin, end)."""
    count = round((end - begin) / FRAME_MS)
    return [(begin + i * FRAME_MS, height * 16 // 9, height) for i in range(count)]


def series(
    shown: list[tuple[float, int, int]], end: float, gaps: tuple[tuple[float, float], ...] = ()
) -> Series:
    """A page that began at 0: 1 % of its sound concealed, 1000 kbit/s of picture."""
    samples: list[dict[str, Any]] = []
    for at in range(0, round(end) + 1, 250):
        sums = dict.fromkeys(SUMS, 0) | {
            "presented": sum(time < at for time, _, _ in shown),
            "samples": 48 * at,
            "concealed": 0.48 * at,
            "videoBytes": 125 * at,
        }
        samples.append({"at": float(at), **sums, "transport": "udp", "peers": 1})
    return Series(samples, shown, gaps)


def test_a_stretch_without_faults() -> None:
    seen = stretch(series(frames(0, 10_000), 11_000), 1000, 9000, sent=240)
    assert seen.rendered == pytest.approx(1.0, abs=0.01)
    assert (seen.paused_s, seen.heights) == (0.0, {720: 1.0})
    assert seen.longest_gap_ms == pytest.approx(FRAME_MS, abs=1)
    assert seen.concealed == pytest.approx(0.01)
    assert seen.video_kbps == pytest.approx(1000)


def test_a_pause_is_counted_whole_and_once() -> None:
    shown = frames(0, 3000) + frames(3500, 10_000)
    seen = stretch(series(shown, 11_000), 1000, 9000)
    assert seen.longest_gap_ms == pytest.approx(500 + FRAME_MS, abs=2)
    assert seen.paused_s == pytest.approx(seen.longest_gap_ms / 1000)
    assert seen.rendered is None


def test_a_picture_that_stops_for_good_is_a_gap_up_to_the_end() -> None:
    seen = stretch(series(frames(0, 3000), 11_000), 1000, 9000)
    assert seen.longest_gap_ms == pytest.approx(6000, abs=2 * FRAME_MS)


def test_a_page_that_took_no_samples_is_told() -> None:
    with pytest.raises(ValueError, match="no samples"):
        stretch(series([], 1000), 5000, 9000)


@pytest.mark.parametrize(
    ("gaps", "longest"),
    [
        (((2000, 50), (2500, 500), (8990, 60)), 500),
        (((1200, 400), (8990, 60)), 200),  # only what lies inside counts
        (((2000, 50),), 7000),  # open at the end
        (((2000, 50), (9500, 1500)), 1000),  # ended after it
        ((), 8000),
    ],
)
def test_sound_gaps(gaps: tuple[tuple[float, float], ...], longest: float) -> None:
    assert longest_sound_gap(Series([], [], gaps), 1000, 9000) == longest


def test_a_counter_between_its_readings() -> None:
    points = [(1000.0, 10.0), (2000.0, 40.0)]
    assert [at_time(points, when) for when in (500, 1000, 1500, 2000, 3000)] == [
        *(10, 10, 25, 40, 40)
    ]
    assert at_time([], 500) == 0


def test_a_timeline_names_heights_and_times_without_a_picture() -> None:
    shown = frames(0, 3000) + frames(5000, 7000, 360)
    found = timeline(series(shown, 10_000), 0, 10_000)
    assert [spell.height for spell in found] == [720, 0, 360, 0]
    assert found[0].begin_s == 0
    assert found[-1].end_s == 10
    assert spells([Spell(0, 3, 720), Spell(3, 5, 0)]) == "720p 0.0–3.0 s, none 3.0–5.0 s"


def test_the_top_layer_is_back_when_it_stays() -> None:
    shown = [
        *frames(0, 1000, 360),
        *frames(1000, 2000),  # a second of it, and down again
        *frames(2000, 3000, 360),
        *frames(3000, 8000),
    ]
    assert steady_from(series(shown, 8000), 0, 8000, 720) == pytest.approx(3000, abs=FRAME_MS)
    assert steady_from(series(shown, 8000), 0, 4000, 720) is None


def test_a_course_of_rates() -> None:
    shown = frames(0, 10_000) + frames(10_500, 20_000, 180) + frames(24_000, 30_000)
    result = judge(
        series(shown, 31_000), (3000, 150, 3000), (0, 10_000, 20_000, 30_000), (300,) * 3
    )
    assert result.top_height == 720
    assert result.recovered_ms == pytest.approx(4000, abs=FRAME_MS)
    assert [phase.kbit for phase in result.phases] == [3000, 150, 3000]
    text = rate_table(result)
    assert "720p again, steadily, 4.0 s after the line" in text
    assert text.count("\n|") == 4
