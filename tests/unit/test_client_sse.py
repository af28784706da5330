"""The event-stream parser."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.sse import EventParser, ServerEvent

STREAM = (
    ': hello\n\nevent: active\ndata: {}\n\nevent: viewercount\r\ndata: {"viewercount": 3}\r\n\r\n'
    "id: 9\ndata: one\ndata: two\n\nevent: nothing\n\n"
)
EVENTS = [
    ServerEvent("active", {}),
    ServerEvent("viewercount", {"viewercount": 3}),
    ServerEvent("message", "one\ntwo"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_anywhere_change_nothing(cuts: list[int]) -> None:
    parser = EventParser()
    places = [0, *sorted(cuts), len(STREAM)]
    events = []
    for start, end in itertools.pairwise(places):
        events += parser.feed(STREAM[start:end])
    assert events == EVENTS


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    EventParser().feed(text)


def test_a_line_without_end_is_refused() -> None:
    parser = EventParser()
    for _ in range(3):
        assert parser.feed("x" * 20_000) == []
    with pytest.raises(ValueError, match="too long"):
        parser.feed("x" * 20_000)
