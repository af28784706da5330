"""Windows over counters and gauges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.telemetry.window import MAX_SAMPLES, CounterWindow, MeanWindow


def test_the_first_reading_is_only_a_start() -> None:
    window = CounterWindow(30)
    window.add(0, {"freezes": 100})
    assert window.gain("freezes", 0) == 0
    window.add(1, {"freezes": 103})
    assert window.gain("freezes", 1) == 3


def test_old_gains_are_forgotten() -> None:
    window = CounterWindow(30)
    window.add(0, {"n": 0})
    window.add(1, {"n": 5})
    window.add(20, {"n": 7})
    assert window.gain("n", 31) == 7
    assert window.gain("n", 32) == 2
    assert window.gain("n", 51) == 0


def test_a_counter_that_begins_anew() -> None:
    window = CounterWindow(30)
    window.add(0, {"n": 500})
    window.add(1, {"n": 3})
    assert window.gain("n", 1) == 3


def test_ratio_needs_movement() -> None:
    window = CounterWindow(30)
    window.add(0, {"part": 0, "whole": 10})
    assert window.ratio("part", "whole", 0) is None
    window.add(1, {"part": 1, "whole": 14})
    assert window.ratio("part", "whole", 1) == 0.25


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200))
def test_gain_is_the_sum_of_the_last_steps(steps: list[int]) -> None:
    window, value = CounterWindow(1e9), 0
    window.add(0, {"n": 0})
    for at, one in enumerate(steps, start=1):
        value += one
        window.add(at, {"n": value})
    assert window.gain("n", len(steps)) == sum([one for one in steps if one][-MAX_SAMPLES:])


def test_mean_of_the_window() -> None:
    window = MeanWindow(10)
    assert window.mean(0) == 0
    window.add(0, 1.0)
    window.add(8, 0.0)
    assert window.mean(8) == 0.5
    assert window.mean(11) == 0.0
