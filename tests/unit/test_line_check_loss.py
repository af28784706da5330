"""A line that is slow is told from one that loses packets."""

from __future__ import annotations

import random

import pytest

from hub.doctor.line_check import Tally
from hub.state.line_verdict import LineFigures, judge
from relay.core.header_layout import HeaderLayout
from relay.core.line_check import TICK_MS, WIRE_BYTES, LineCheckPlan, LineCheckSender

QUEUE_MS = 100.0


def checked(*, capacity_bps: float = 1e9, loss: float = 0.0) -> LineFigures:
    """A check over a line with a queue of 100 ms, with seeded loss before it."""
    chance = random.Random(7)
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
def test_reasons(line: dict[str, float], reasons: tuple[str, ...]) -> None:
    assert judge(checked(**line)).reasons == reasons


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


def test_a_packet_that_comes_twice_or_late_is_no_loss() -> None:
    sender, tally = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 0.0), Tally()
    packets = [p for n in range(400) for p in sender.due(n * TICK_MS)]
    tally.on_rtp([packets[1], packets[0], packets[1]], 0.0)
    tally.on_rtp(packets[2:], 100.0)
    assert tally.loss_ratio() == 0.0
    assert tally.steps()[0].loss_ratio == 0.0
