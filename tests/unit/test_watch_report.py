"""Sums over a crowd, and the token file."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from hub.cli.watch_report import crowd, describe_crowd, describe_one, percentile
from relay.client.viewer_figures import MAX_ENTRIES, Recovery, ViewerFigures, Visit


def viewer(name: str, **values: object) -> ViewerFigures:
    figures = ViewerFigures(name, state="live", frozen=False)
    for key, value in values.items():
        setattr(figures, key, value)
    return figures


def test_a_crowd_is_summed_up() -> None:
    viewers = [
        viewer("an-phu", packets=90, expected=100, lost=10, fps=30.0, join_ms=40.0, rtt_ms=2.0),
        viewer("ha-bac", packets=100, expected=100, fps=25.0, join_ms=80.0, rtt_ms=4.0),
        viewer("ha-nam", state="waiting", frozen=True, error="nothing is on air"),
    ]
    figures = crowd(viewers, 12.34)
    assert (figures.viewers, figures.connected, figures.frozen) == (3, 2, 1)
    assert figures.loss == pytest.approx(0.05)
    assert figures.fps_min == 0.0
    assert figures.join_ms_p95 == 80.0
    assert figures.errors == {"nothing is on air": 1}
    assert json.loads(json.dumps(figures.as_dict()))["elapsed_s"] == 12.3
    assert "2/3 viewers" in describe_crowd(figures)
    assert "1× nothing is on air" in describe_crowd(figures)


def test_recoveries_and_places_of_a_crowd() -> None:
    first, second = Visit(0.1, "http://a.test"), Visit(2.0, "http://b.test:81")
    viewers = [
        viewer("an-phu", places=[first, second], recoveries=[Recovery(1.2, "silent", 800.0)]),
        viewer("ha-bac", places=[first], moves=[Recovery(1.0, "reconnect", 33.0)]),
        viewer("ha-nam", state="waiting", places=[first]),
        viewer("tu-ky", places=[second], recoveries=[Recovery(1.2, "closed", 50.0)]),
    ]
    figures = crowd(viewers, 3)
    assert figures.by_place == {"http://b.test:81": 2, "http://a.test": 1}
    assert (figures.recoveries, figures.recovery_max_ms) == (2, 800.0)
    assert (figures.recovery_p50_ms, figures.recovery_p95_ms) == (800.0, 800.0)
    assert (figures.moves, figures.move_max_ms) == (1, 33.0)
    assert "recoveries 2 (max 800 ms)" in describe_crowd(figures)


def test_lists_of_a_viewer_are_bounded() -> None:
    figures = ViewerFigures("an-phu")
    for number in range(MAX_ENTRIES + 5):
        figures.recovered(Recovery(float(number), "silent", 1.0))
    assert len(figures.recoveries) == MAX_ENTRIES
    assert figures.recoveries[-1].at_s == MAX_ENTRIES + 4


def test_lines_for_one() -> None:
    assert "loss 10.00%" in describe_one(viewer("a", expected=100, lost=10))
    assert describe_one(ViewerFigures("a", error="no packets")) == "connecting: no packets"


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(100)], 0.95) == 95.0


@pytest.mark.parametrize(
    "text",
    ['{"an-phu": "t1", "ha-bac": "t2"}', '{"view_tokens": {"an-phu": "t1", "ha-bac": "t2"}}'],
)
def test_token_files(tmp_path: Path, text: str) -> None:
    from hub.cli.watch import read_tokens

    file = tmp_path / "tokens.json"
    file.write_text(text)
    assert read_tokens(file) == [("an-phu", "t1"), ("ha-bac", "t2")]


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", '{"a": 3}'])
def test_files_without_tokens(tmp_path: Path, text: str) -> None:
    from hub.cli.watch import read_tokens

    file = tmp_path / "tokens.json"
    file.write_text(text)
    with pytest.raises(click.UsageError):
        read_tokens(file)


def test_a_list_of_names_and_tokens(tmp_path: Path) -> None:
    from hub.cli.watch import read_tokens

    file = tmp_path / "tokens.txt"
    file.write_text("an-phu t1\n\nha-bac\tt2\n")
    assert read_tokens(file) == [("an-phu", "t1"), ("ha-bac", "t2")]
