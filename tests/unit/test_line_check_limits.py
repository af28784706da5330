"""A line check does no harm: not to placement, not to the line, not to what is kept."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.state.line_checks import LineCheckBook
from hub.state.line_verdict import LineFigures
from relay.core.header_layout import HeaderLayout
from relay.core.line_check import (
    MAX_BURST_MS,
    STEPS_BPS,
    STREAM,
    TOTAL_MS,
    WIRE_BYTES,
    LineCheckPlan,
    LineCheckSender,
)
from tests.unit.test_placing_node import Scene, grant

FIGURES = LineFigures.model_validate({"via": "page", "udp": {"ok": True}, "tcp": {"ok": True}})
PLAN = LineCheckPlan(7, 102, HeaderLayout())
MAX_BURST = int(STEPS_BPS[-1] * MAX_BURST_MS / 8000 / WIRE_BYTES) + 1


async def test_a_check_is_no_viewer_that_never_came() -> None:
    scene = Scene()
    scene.on_air = ("h264",)
    for name in ("r1", "r2"):
        scene.relay(name)
        scene.report(name)
    checked = await scene.where(grant(), STREAM)
    scene.now_ms = 7000.0
    for name in ("r1", "r2"):
        scene.relay(name)
        scene.report(name)
    again = await scene.where(grant(), STREAM)
    watched = await scene.where(grant())
    assert {url.partition("/whep/")[0] for url in (checked, again, watched)} == {"http://r1:80"}


async def test_a_check_needs_nobody_on_the_air() -> None:
    scene = Scene()
    scene.relay("r1")
    scene.report("r1", state="off")
    assert (await scene.where(grant(), STREAM)).startswith(f"http://r1:80/whep/{STREAM}?ticket=")


@given(st.lists(st.floats(0, 3000), max_size=40))
def test_no_pause_is_caught_up_in_a_burst(pauses_ms: list[float]) -> None:
    sender = LineCheckSender(PLAN, now_ms := 1000.0)
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        assert len(sender.due(now_ms)) <= MAX_BURST


@given(st.lists(st.floats(0, 50), min_size=1, max_size=400))
def test_a_check_is_bounded_in_all(pauses_ms: list[float]) -> None:
    sender = LineCheckSender(PLAN, now_ms := 0.0)
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        if sender.over(now_ms):
            break
        sender.due(now_ms)
    assert sender.packets * WIRE_BYTES <= STEPS_BPS[-1] * TOTAL_MS / 8000


def test_reports_of_many_communes_at_once_are_all_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = LineCheckBook(tmp_path)
    communes = [f"commune-{n}" for n in range(240)]
    with caplog.at_level(logging.ERROR), ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda slug: book.take(slug, FIGURES, "a", 1.0), communes))
    assert caplog.messages == []
    assert set(LineCheckBook(tmp_path).all()) == set(communes)
