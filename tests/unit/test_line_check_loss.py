"""A line that is slow is told from one that loses packets."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.doctor.line_check import Tally
from hub.state.line_verdict import LineFigures, judge
from relay.core.header_layout import HeaderLayout
from relay.core.line_check import STEPS_BPS, TICK_MS, WIRE_BYTES, LineCheckPlan, LineCheckSender

QUEUE_MS = 100.0


def checked(*, capacity_bps: float = 1e9, loss: float = 0.0, seed: int = 7) -> LineFigures:
    """A check over a line with a queue of 100 ms, with seeded loss before it."""
    chance = random.Random(seed)
    sender, tally = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 0.0), Tally()
    now_ms = free_ms = 0.0
    while not sender.over(now_ms):
        for packet in sender.due(now_ms):
            begins_ms = max(free_ms, now_ms)
            if chance.random() < loss or begins_ms - now_ms > QUEUE_MS:
                continue
            free_ms = begins_ms + WIRE_BYTES * 8000 / capacity_bps
            tally.on_rtp([packet], free_ms)
        now_ms += TICK_MS
    return LineFigures.model_validate(
        {
            "via": "doctor",
            "udp": {"ok": True},
            "tcp": {"ok": True},
            "jitter_ms": tally.jitter_ms,
            "loss_ratio": tally.loss_ratio(),
            "steps": tally.steps(),
        }
    )


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        ({}, ()),
        ({"capacity_bps": 2.8e6}, ()),
        ({"capacity_bps": 1e6}, ("slow",)),
        # Below the lowest rate every step is too much: the two cannot be told apart.
        ({"capacity_bps": 2e5}, ("slow", "lossy")),
        ({"loss": 0.01}, ()),
        ({"loss": 0.06}, ("lossy",)),
        ({"capacity_bps": 1e6, "loss": 0.06}, ("slow", "lossy")),
    ],
)
def test_reasons(line: dict[str, Any], reasons: tuple[str, ...]) -> None:
    assert judge(checked(**line)).reasons == reasons


@pytest.mark.parametrize("seed", range(5))
def test_five_per_cent_is_not_missed_and_one_is_not_blamed(seed: int) -> None:
    assert judge(checked(loss=0.05, seed=seed)).reasons == ("lossy",)
    assert judge(checked(loss=0.01, seed=seed)).reasons == ()


@given(st.floats(3e5, 4e6))
def test_no_speed_alone_makes_a_line_lossy(capacity_bps: float) -> None:
    steps = [
        {
            "bps": bps,
            "received_bps": min(bps, capacity_bps),
            "loss_ratio": max(0.0, 1 - capacity_bps / bps),
        }
        for bps in STEPS_BPS
    ]
    ways = {"udp": {"ok": True}, "tcp": {"ok": True}}
    figures = LineFigures.model_validate({"via": "doctor", **ways, "steps": steps})
    assert "lossy" not in judge(figures).reasons


def test_without_losses_by_step_that_of_the_whole_check_counts() -> None:
    told = checked(capacity_bps=1e6)
    silent = [step.model_copy(update={"loss_ratio": None}) for step in told.steps]
    assert judge(told.model_copy(update={"steps": tuple(silent)})).reasons == ("slow", "lossy")


@pytest.mark.parametrize(
    ("way", "reasons"), [("udp", ("too-slow",)), ("tcp", ("too-slow",)), ("turn", ("turn-only",))]
)
def test_a_way_over_which_nothing_arrived_is_not_ready(way: str, reasons: tuple[str, ...]) -> None:
    ways = {name: {"ok": name == way} for name in ("udp", "tcp", "turn")}
    assert judge(LineFigures.model_validate({"via": "page", **ways})).reasons == reasons


@pytest.mark.parametrize(
    ("pause_ms", "stalled_ms"), [(0, 0), (45, 0), (300, 250 + TICK_MS), (900, 850 + TICK_MS)]
)
def test_a_pause_of_the_node_is_told_from_a_slow_line(pause_ms: float, stalled_ms: float) -> None:
    sender, tally = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 0.0), Tally()
    now_ms, late_ms = 0.0, 0.0
    while not sender.over(now_ms):
        for packet in sender.due(now_ms):
            late_ms += 0.05  # a line that is ever slower is not the node's fault
            tally.on_rtp([packet], now_ms + late_ms)
        now_ms += TICK_MS
        if now_ms == 5000.0:
            now_ms += pause_ms
    assert tally.stalled_ms == pytest.approx(stalled_ms, abs=0.1)


def test_a_packet_that_comes_twice_or_late_is_no_loss() -> None:
    sender, tally = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 0.0), Tally()
    packets = [p for n in range(400) for p in sender.due(n * TICK_MS)]
    tally.on_rtp([packets[1], packets[0], packets[1]], 0.0)
    tally.on_rtp(packets[2:], 100.0)
    assert tally.loss_ratio() == 0.0
    assert tally.steps()[0].loss_ratio == 0.0
