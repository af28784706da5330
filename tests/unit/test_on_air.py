"""Whether a stream is on the air, and what viewers are told."""

from __future__ import annotations

import itertools

from relay.node.on_air import SILENCE_MS, TRANSITIONS, AirInput, AirState, OnAir


def test_story_of_a_broadcast() -> None:
    air = OnAir()
    assert air.poll(0.0) is None
    assert air.media(10.0) == "active"
    assert air.media(20.0) is None
    assert air.poll(20.0 + SILENCE_MS - 1) is None
    assert air.poll(20.0 + SILENCE_MS) == "inactive"
    assert air.poll(99_999.0) is None
    assert air.media(100_000.0) == "active"
    assert air.publisher_left(100_001.0) == "inactive"
    assert air.publisher_left(100_002.0) is None
    assert air.state is AirState.OFF


def test_leaving_while_silent_does_not_tell_twice() -> None:
    air = OnAir()
    air.media(0.0)
    assert air.poll(SILENCE_MS) == "inactive"
    assert air.publisher_left(SILENCE_MS + 1) is None


def test_table_names_every_state_and_input() -> None:
    assert {s for s, _ in TRANSITIONS} == set(AirState)
    assert {i for _, i in TRANSITIONS} == set(AirInput)
    for state, event in itertools.product(AirState, AirInput):
        assert TRANSITIONS.get((state, event), state) in AirState
