"""A commune's grade: one formula over both ends' figures, with the cause in a sentence.

Theory: each figure past a threshold is a symptom, fair or bad. The grade is that of the worst
symptom. Symptoms of the line (a poorer layer or none, loss, repeats, round trip, jitter) are the
commune's own; symptoms
of the hall (freezes, missing frames, patched sound, a full jitter buffer) are what people notice,
and are blamed on the first of: the ward that broadcasts, if its uplink loses packets or it broke
off within the window; the commune's line, if that has a symptom of its own; the commune's
computer. A line's symptom is told before a hall's of the same severity, for it can be acted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hub.state.quality_words import sentence

WINDOW_S = 30.0
"""Counters are judged by what they gained in this time."""


class Grade(StrEnum):
    """How well a commune sees and hears. LOST: it was here and is gone. ABSENT: never came."""

    GOOD = "good"
    FAIR = "fair"
    BAD = "bad"
    LOST = "lost"
    ABSENT = "absent"


GRADE_WORDS_VI: dict[Grade, str] = {
    Grade.GOOD: "Tốt",
    Grade.FAIR: "Khá",
    Grade.BAD: "Kém",
    Grade.LOST: "Mất kết nối",
    Grade.ABSENT: "Chưa vào",
}

Place = Literal["ward", "commune"]
Cause = Literal["none", "waiting", "line", "uplink", "source", "device", "lost", "absent"]


@dataclass(frozen=True)
class Threshold:
    """At or above `fair` and `bad` a figure is a symptom."""

    fair: float
    bad: float

    def severity(self, value: float | None) -> Grade:
        """GOOD, FAIR or BAD; an unknown figure is no symptom."""
        if value is None or value < self.fair:
            return Grade.GOOD
        return Grade.BAD if value >= self.bad else Grade.FAIR


THRESHOLDS: dict[str, Threshold] = {
    "layer": Threshold(1.0, 2.0),
    "loss": Threshold(0.01, 0.05),
    "nack": Threshold(0.02, 0.08),
    "rtt": Threshold(300.0, 600.0),
    "jitter": Threshold(60.0, 200.0),
    "freeze": Threshold(0.5, 3.0),
    "fps": Threshold(0.2, 0.5),
    "concealed": Threshold(0.01, 0.05),
    "buffer": Threshold(500.0, 1500.0),
}
"""layer: 0 the richest that makes sense, 1 a poorer one, 2 sound alone. loss, nack, concealed:
ratios. rtt, jitter, buffer: ms. freeze: seconds frozen in the window. fps: share of the layer's
frames that are missing."""

UPLINK_LOSS_FAIR = 0.02
MIN_STREAM_FPS = 5.0
MIN_FREEZE_S = 0.5
"""What one freeze counts for at least: Chrome adds its duration only when it is over."""
LINE = ("layer", "loss", "nack", "rtt", "jitter")
HALL = ("freeze", "fps", "concealed", "buffer")
_ORDER = {Grade.GOOD: 0, Grade.FAIR: 1, Grade.BAD: 2}


@dataclass(frozen=True)
class SourceFigures:
    """The ward that broadcasts. loss_ratio: on its uplink. steady: on air for the whole window."""

    on_air: bool
    fps: float | None = None
    loss_ratio: float = 0.0
    steady: bool = True


@dataclass(frozen=True)
class ViewerFigures:
    """One viewer. None: nobody has told. From RTCP: loss_ratio, jitter_ms, rtt_ms, nack_ratio
    (packets asked again by packets sent). From the browser: fps, and over the window freeze_count,
    freeze_s, buffer_ms (mean of the jitter buffer) and concealed_ratio of sound samples. From the
    node: layers_below (0 the richest layer that makes sense, 1 a poorer one, 2 sound alone) and
    sent_fps, of the layer that it is sent.
    """

    loss_ratio: float = 0.0
    jitter_ms: float | None = None
    rtt_ms: float | None = None
    nack_ratio: float | None = None
    fps: float | None = None
    freeze_count: int = 0
    freeze_s: float = 0.0
    buffer_ms: float | None = None
    concealed_ratio: float | None = None
    layers_below: int = 0
    sent_fps: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A grade, its cause and a sentence for it in two languages."""

    grade: Grade
    cause: Cause
    symptom: str
    reason_vi: str
    reason_en: str


def grade_viewer(viewer: ViewerFigures, source: SourceFigures, place: Place) -> Verdict:
    """The verdict on one connected viewer."""
    if not source.on_air:
        return _verdict(Grade.GOOD, "waiting", "", 0.0, place)
    values = _values(viewer, source)
    severity = {name: THRESHOLDS[name].severity(values[name]) for name in (*LINE, *HALL)}
    worst = max(severity.values(), key=_ORDER.__getitem__)
    if worst is Grade.GOOD:
        return _verdict(Grade.GOOD, "none", "", 0.0, place)
    symptom = next(name for name in (*LINE, *HALL) if severity[name] is worst)
    line_ails = any(severity[name] is not Grade.GOOD for name in LINE)
    cause: Cause = "line" if symptom in LINE else _cause_in_hall(source, line_ails)
    value = values[symptom] or 0.0
    if symptom == "fps":
        value = viewer.fps or 0.0
    if cause == "uplink":
        value = source.loss_ratio
    return _verdict(worst, cause, symptom, value, place)


def grade_commune(
    verdicts: Sequence[Verdict], place: Place, *, left_at: str | None = None
) -> Verdict:
    """Its worst viewer's verdict, for one bad screen is a bad hall.

    left_at: time of day when the last viewer left, None if there never was one.
    """
    if verdicts:
        return max(verdicts, key=lambda v: _ORDER[v.grade])
    if left_at is not None:
        return _verdict(Grade.LOST, "lost", "", 0.0, place, left_at)
    return _verdict(Grade.ABSENT, "absent", "", 0.0, place)


def _values(viewer: ViewerFigures, source: SourceFigures) -> dict[str, float | None]:
    missing: float | None = None
    sent_fps = source.fps if viewer.sent_fps is None else viewer.sent_fps
    if viewer.fps is not None and sent_fps is not None and sent_fps >= MIN_STREAM_FPS:
        missing = max(0.0, 1 - viewer.fps / sent_fps)
    return {
        "layer": float(viewer.layers_below),
        "loss": viewer.loss_ratio,
        "nack": viewer.nack_ratio,
        "rtt": viewer.rtt_ms,
        "jitter": viewer.jitter_ms,
        "freeze": max(viewer.freeze_s, viewer.freeze_count * MIN_FREEZE_S),
        "fps": missing,
        "concealed": viewer.concealed_ratio,
        "buffer": viewer.buffer_ms,
    }


def _cause_in_hall(source: SourceFigures, line_ails: bool) -> Cause:
    if not source.steady:
        return "source"
    if source.loss_ratio >= UPLINK_LOSS_FAIR:
        return "uplink"
    return "line" if line_ails else "device"


def _verdict(
    grade: Grade, cause: Cause, symptom: str, value: float, place: Place, at: str = ""
) -> Verdict:
    vi, en = sentence(cause, symptom, value, place, at)
    return Verdict(grade, cause, symptom, vi, en)
