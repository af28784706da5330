"""What a viewer gets over lines of every kind, under a virtual clock; see `virtual_line.py`."""

from __future__ import annotations

import pytest

from relay.core.line.line_state import LineState
from tests.simulation.virtual_line import LineTheatre


def status(theatre: LineTheatre) -> LineState:
    line = theatre.router.lines.line_of("v1")
    assert line is not None
    return line.status.state


def reached_s(theatre: LineTheatre, rid: str | None, since_ms: float) -> float:
    """Seconds after `since_ms` at which the layer that is sent now was taken."""
    assert theatre.timeline[-1][1] == rid
    return (theatre.timeline[-1][0] - since_ms) / 1000


def share(theatre: LineTheatre, rid: str | None) -> float:
    heights = theatre.tally.heights
    return heights.get(rid, 0) / sum(heights.values())


def test_a_good_line_gets_everything_and_is_asked_nothing_more() -> None:
    theatre = LineTheatre()
    tally = theatre.play(20)
    assert set(tally.heights) == {"h"}
    assert tally.padding_packets == 0
    line = theatre.router.lines.line_of("v1")
    assert line is not None
    assert not line.watching
    asked = theatre.router.lines.feedbacks
    theatre.play(5)
    assert theatre.router.lines.feedbacks <= asked + 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_line_that_falls_and_recovers(seed: int) -> None:
    theatre = LineTheatre(seed)
    theatre.line(rate_kbit=3000)
    theatre.play(15)
    assert share(theatre, "h") > 0.9

    theatre.line(rate_kbit=600)
    tally = theatre.play(20)
    assert share(theatre, "m") > 0.8
    assert status(theatre) == LineState.REDUCED
    assert tally.sound_came >= 0.97 * tally.sound_sent

    theatre.line(rate_kbit=150)
    tally = theatre.play(20)
    assert share(theatre, "h") == 0
    assert share(theatre, "m") < 0.1
    assert tally.sound_came >= 0.92 * tally.sound_sent

    theatre.line(rate_kbit=3000)
    since_ms = theatre.now_ms
    theatre.play(20)
    assert reached_s(theatre, "h", since_ms) < 10
    assert status(theatre) == LineState.FULL


def test_a_line_that_carries_no_picture_carries_the_sound() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=120)
    theatre.play(10)
    tally = theatre.play(20)
    assert status(theatre) == LineState.AUDIO_ONLY
    assert share(theatre, None) > 0.9
    assert tally.sound_came >= 0.98 * tally.sound_sent


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.2])
def test_loss_that_is_the_lines_own_costs_no_picture(loss: float) -> None:
    theatre = LineTheatre()
    theatre.line(loss=loss)
    theatre.play(10)
    theatre.play(20)
    assert share(theatre, "h") > 0.8
    assert share(theatre, None) < 0.02


def test_a_line_on_the_edge_of_a_layer_does_not_flap() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=2300)
    theatre.play(60)
    assert len(theatre.timeline) < 12


def test_a_lossy_thin_line_keeps_the_lowest_layer() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=300, loss=0.2)
    theatre.play(10)
    theatre.play(20)
    assert share(theatre, "l") > 0.9


def test_a_line_with_hardly_a_queue_is_not_given_up() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=1000, queue_ms=15)
    theatre.play(10)
    theatre.play(20)
    assert share(theatre, "m") + share(theatre, "l") > 0.9


def test_repairs_do_not_keep_a_full_line_full() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=800)
    theatre.play(5)
    before = theatre.router.repairs_sent
    theatre.play(20)
    assert theatre.router.repairs_sent - before < 200
    assert share(theatre, "m") > 0.9


def test_a_viewer_that_comes_back_begins_with_what_its_line_carried() -> None:
    theatre = LineTheatre()
    theatre.line(rate_kbit=600)
    theatre.play(10)
    theatre.router.remove_viewer(theatre.viewer, theatre.now_ms)
    theatre.come_back()
    theatre.step()
    theatre.play(2)
    assert "h" not in theatre.tally.heights


def test_a_wish_for_a_small_picture_is_no_reason_to_probe() -> None:
    theatre = LineTheatre()
    track = theatre.router.tracks["video"]
    lane = theatre.viewer.lanes["video"]
    track.set_wish(lane, track.wish_of(lane).for_height(360), theatre.now_ms)
    tally = theatre.play(20)
    assert theatre.timeline[-1][1] == "m"
    assert tally.padding_packets == 0
    assert status(theatre) == LineState.FULL
