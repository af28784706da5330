"""Verdicts on line checks, and what a check sends."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.doctor.line_check import Tally
from hub.state.line_checks import LineCheckBook
from hub.state.line_verdict import LineFigures, Readiness, judge, sentence
from relay.core.header_layout import HeaderLayout
from relay.core.line_check import STEPS_BPS, TICK_MS, TOTAL_MS, LineCheckPlan, LineCheckSender

GOOD = {
    "via": "page",
    "udp": {"ok": True, "connect_ms": 40},
    "tcp": {"ok": True, "connect_ms": 60},
    "rtt_ms": 20,
    "loss_ratio": 0.0,
    "steps": [{"bps": 3_200_000, "received_bps": 3_100_000}],
    "codecs": ["H264", "VP8"],
}


def figures(**changes: object) -> LineFigures:
    return LineFigures.model_validate({**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "readiness", "reasons"),
    [
        ({}, Readiness.READY, ()),
        ({"udp": {"ok": False}}, Readiness.LIMITED, ("udp-blocked",)),
        (
            {"udp": {"ok": False}, "tcp": {"ok": False}, "turn": {"ok": True}},
            Readiness.LIMITED,
            ("turn-only",),
        ),
        ({"udp": {"ok": False}, "tcp": {"ok": False}}, Readiness.NOT_READY, ("no-way",)),
        ({"steps": [{"bps": 3.2e6, "received_bps": 8e5}]}, Readiness.LIMITED, ("slow",)),
        ({"steps": [{"bps": 3.2e6, "received_bps": 8e4}]}, Readiness.NOT_READY, ("too-slow",)),
        ({"loss_ratio": 0.08, "rtt_ms": 400}, Readiness.LIMITED, ("lossy", "far")),
        ({"codecs": ["VP9"]}, Readiness.NOT_READY, ("no-codec",)),
        ({"jitter_ms": 90}, Readiness.LIMITED, ("unsteady",)),
    ],
)
def test_verdicts(changes: dict[str, object], readiness: Readiness, reasons: tuple[str]) -> None:
    verdict = judge(figures(**changes))
    assert (verdict.readiness, verdict.reasons) == (readiness, reasons)
    vi, en = sentence(verdict)
    assert vi
    assert en


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_ratio": 2},
        {"rtt_ms": float("nan")},
        {"steps": [{"bps": -1, "received_bps": 0}]},
        {"codecs": ["x" * 99]},
        {"via": "guess"},
    ],
)
def test_nonsense_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        figures(**changes)


def test_a_check_is_kept_over_a_restart_and_a_broken_file_is_no_harm(tmp_path: Path) -> None:
    book = LineCheckBook(tmp_path)
    record = book.take("an-phu", figures(), "Chromium", 1000.4)
    assert LineCheckBook(tmp_path).of("an-phu") == record
    (tmp_path / "line-checks.json").write_text("{")
    assert LineCheckBook(tmp_path).of("an-phu") is None


def test_what_is_sent_is_counted_step_by_step() -> None:
    sender = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 5000.0)
    tally, now_ms = Tally(), 5000.0
    while not sender.over(now_ms):
        tally.on_rtp(sender.due(now_ms), now_ms)
        now_ms += TICK_MS
    assert now_ms - 5000.0 == pytest.approx(TOTAL_MS)
    assert tally.loss_ratio() == 0.0
    got = [step.received_bps for step in tally.steps()]
    assert got == pytest.approx(STEPS_BPS, rel=0.08)


def test_losses_are_told_by_the_numbers() -> None:
    sender = LineCheckSender(LineCheckPlan(7, 102, HeaderLayout()), 5000.0)
    packets = [p for n in range(200) for p in sender.due(5000.0 + n * TICK_MS)]
    tally = Tally()
    tally.on_rtp([p for i, p in enumerate(packets) if i % 10], 6000.0)
    assert tally.loss_ratio() == pytest.approx(0.1, abs=0.01)
