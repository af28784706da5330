"""Whether an office is ready: one formula over the figures of a line check (docs/line-check.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TOP_LAYER_BPS = 2_600_000.0
"""The richest layer with the sound and room to spare."""
LOWEST_BPS = 130_000.0
"""Sound alone, with its headers."""
CARRIED = 0.035
"""A rate that loses no more than this beyond the best one is still carried. The best one alone
would flatter: at the lowest rate a check sends fewer than 200 packets."""
LOSSY, FAR_MS, UNSTEADY_MS = 0.03, 300.0, 60.0

Ratio = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=600_000)]


class Readiness(StrEnum):
    """READY: plays at its best. LIMITED: plays, with less. NOT_READY: will not play as it is."""

    READY = "ready"
    LIMITED = "limited"
    NOT_READY = "not-ready"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class WayFigures(_Section):
    """One way to the media port. connect_ms: from the answer to the transport being up."""

    ok: bool
    connect_ms: Milliseconds | None = None


class StepFigures(_Section):
    """One rate that was tried. loss_ratio: within it, None where it was not told."""

    bps: Annotated[float, Field(ge=0, le=1e9)]
    received_bps: Annotated[float, Field(ge=0, le=1e9)]
    loss_ratio: Ratio | None = None


class LineFigures(_Section):
    """What a page or `wardcast doctor` measured. turn: None where no server is named. codecs: of
    the viewer, upper case; empty where nothing is known."""

    via: Literal["page", "doctor"]
    udp: WayFigures
    tcp: WayFigures
    turn: WayFigures | None = None
    rtt_ms: Milliseconds | None = None
    jitter_ms: Milliseconds | None = None
    loss_ratio: Ratio = 0.0
    steps: Annotated[tuple[StepFigures, ...], Field(max_length=8)] = ()
    codecs: Annotated[tuple[Annotated[str, Field(max_length=16)], ...], Field(max_length=16)] = ()

    @property
    def down_bps(self) -> float:
        """The best that came through."""
        return max((step.received_bps for step in self.steps), default=0.0)

    @property
    def own_loss_ratio(self) -> float:
        """What the line loses at the rates that it carries: above these every line loses, and that
        is told by its speed. Of the whole check where steps do not tell."""
        told = [(s.loss_ratio, s.bps) for s in self.steps if s.loss_ratio is not None and s.bps > 0]
        if not told:
            return self.loss_ratio
        least = min(ratio for ratio, _ in told)
        carried = [(ratio, bps) for ratio, bps in told if ratio <= least + CARRIED]
        return sum(ratio * bps for ratio, bps in carried) / sum(bps for _, bps in carried)


@dataclass(frozen=True)
class LineVerdict:
    """reasons: codes, the weightiest first; empty for READY."""

    readiness: Readiness
    reasons: tuple[str, ...]


def judge(figures: LineFigures) -> LineVerdict:
    """The verdict. Codes: no-way, no-codec, too-slow | slow, lossy, turn-only, udp-blocked, far,
    unsteady."""
    fatal: list[str] = []
    turn = figures.turn is not None and figures.turn.ok
    if not (figures.udp.ok or figures.tcp.ok or turn):
        fatal.append("no-way")
    if figures.codecs and not {"H264", "VP8"} & set(figures.codecs):
        fatal.append("no-codec")
    # The doctor knows of TURN only that it can be reached: no rates are no finding there.
    measured = figures.udp.ok or figures.tcp.ok or bool(figures.steps)
    if measured and figures.down_bps < LOWEST_BPS:
        fatal.append("too-slow")
    if fatal:
        return LineVerdict(Readiness.NOT_READY, tuple(fatal))
    limits = {
        "slow": bool(figures.steps) and figures.down_bps < TOP_LAYER_BPS,
        "lossy": figures.own_loss_ratio >= LOSSY,
        "turn-only": turn and not (figures.udp.ok or figures.tcp.ok),
        "udp-blocked": not figures.udp.ok and figures.tcp.ok,
        "far": (figures.rtt_ms or 0.0) >= FAR_MS,
        "unsteady": (figures.jitter_ms or 0.0) >= UNSTEADY_MS,
    }
    reasons = tuple(code for code, holds in limits.items() if holds)
    return LineVerdict(Readiness.LIMITED if reasons else Readiness.READY, reasons)


WORDS: dict[str, tuple[str, str]] = {
    "ready": ("Đường truyền sẵn sàng", "The line is ready"),
    "limited": ("Xem được, nhưng đường truyền hạn chế", "It will play, over a limited line"),
    "not-ready": ("Chưa sẵn sàng", "Not ready"),
    "no-way": (
        "không kết nối được: tường lửa chặn cả UDP lẫn TCP",
        "no connection: a firewall blocks UDP and TCP",
    ),
    "no-codec": (
        "trình duyệt không giải mã được hình",
        "the browser cannot decode the picture",
    ),
    "too-slow": ("quá chậm, kể cả cho tiếng", "too slow even for sound"),
    "slow": (
        "tốc độ thấp, hình sẽ giảm nét",
        "slow: the picture will be smaller",
    ),
    "lossy": ("mất gói nhiều", "many packets are lost"),
    "turn-only": ("chỉ đi được qua máy chủ TURN", "only through the TURN server"),
    "udp-blocked": ("UDP bị chặn, sẽ dùng TCP", "UDP is blocked, TCP will be used"),
    "far": ("độ trễ lớn", "long delay"),
    "unsteady": ("độ trễ dao động", "unsteady delay"),
}
"""Vietnamese and English for verdicts and reasons."""


def sentence(verdict: LineVerdict) -> tuple[str, str]:
    """(Vietnamese, English) for people."""
    parts = [WORDS[verdict.readiness.value], *(WORDS[code] for code in verdict.reasons)]
    head = parts[0]
    if len(parts) == 1:
        return head
    tail_vi, tail_en = ("; ".join(p[i] for p in parts[1:]) for i in (0, 1))
    return f"{head[0]}: {tail_vi}", f"{head[1]}: {tail_en}"
