"""What a page lived through, from its probe's samples (pure).

Times are epoch milliseconds of this machine: all hosts share its clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FREEZE_MS = 200.0
"""A pause between two presented frames that people notice."""


@dataclass(frozen=True)
class Series:
    """samples: of getStats, sums since the page began, see probe.js. frames: (presented at, width,
    height). sound_gaps: (ended at, ms)."""

    samples: Sequence[dict[str, Any]]
    frames: Sequence[tuple[float, int, int]]
    sound_gaps: Sequence[tuple[float, float]]
    first_frame_ms: float | None = None
    problems: Sequence[str] = ()

    @classmethod
    def of(cls, probe: dict[str, Any]) -> Series:
        """From `window.networkProbe`."""
        return cls(
            samples=probe["samples"],
            frames=[(at, width, height) for at, width, height in probe["frames"]],
            sound_gaps=[(at, gap) for at, gap in probe["soundGaps"]],
            first_frame_ms=probe["firstFrameMs"],
            problems=probe["problems"],
        )


@dataclass(frozen=True)
class Stretch:
    """A stretch of time of one page; shares are 0 … 1, None where there was nothing to share.

    sent: frames that the source sent meanwhile. frozen_s: what Chromium calls a freeze.
    paused_s: time in gaps of more than 200 ms between presented frames; longest_gap_ms: the
    longest. concealed: of all samples played, also in silence. sound_gap_ms: the longest time that
    no new sound was played. heights: share of presented frames by their height.
    """

    seconds: float
    sent: int | None
    presented: int
    decoded: int
    freezes: int
    frozen_s: float
    paused_s: float
    longest_gap_ms: float
    concealed: float | None
    sound_gap_ms: float
    video_kbps: float
    audio_kbps: float
    video_lost: int
    audio_lost: int
    nacks: int
    plis: int
    rtx: int
    heights: dict[int, float] = field(default_factory=dict)
    transport: str = ""
    peers: int = 1

    @property
    def rendered(self) -> float | None:
        """Share of the source's frames that were shown."""
        return self.presented / self.sent if self.sent else None

    @property
    def per_minute(self) -> float:
        return 60 / self.seconds


def stretch(series: Series, begin: float, end: float, sent: int | None = None) -> Stretch:
    """Figures of [begin, end). Raises ValueError when the page was not sampled then."""
    inside = [sample for sample in series.samples if begin <= sample["at"] <= end]
    if len(inside) < 2:
        raise ValueError("the page took no samples in this time: it hung, or nothing was opened")
    first, last = inside[0], inside[-1]
    seconds = (last["at"] - first["at"]) / 1000

    def grown(name: str) -> Any:
        return last[name] - first[name]

    shown = [frame for frame in series.frames if begin <= frame[0] < end]
    gaps = frame_gaps(series, begin, end)
    samples = grown("samples")
    return Stretch(
        seconds=(end - begin) / 1000,
        sent=sent,
        presented=presented(series, begin, end),
        decoded=grown("decoded"),
        freezes=grown("freezes"),
        frozen_s=grown("freezeS"),
        paused_s=sum(gap for gap in gaps if gap > FREEZE_MS) / 1000,
        longest_gap_ms=max(gaps, default=end - begin),
        concealed=grown("concealed") / samples if samples else None,
        sound_gap_ms=longest_sound_gap(series, begin, end),
        video_kbps=grown("videoBytes") * 8 / 1000 / seconds,
        audio_kbps=grown("audioBytes") * 8 / 1000 / seconds,
        video_lost=grown("videoLost"),
        audio_lost=grown("audioLost"),
        nacks=grown("nacks"),
        plis=grown("plis"),
        rtx=grown("rtx"),
        heights=heights(shown),
        transport=last["transport"],
        peers=last["peers"],
    )


def presented(series: Series, begin: float, end: float) -> int:
    """Frames presented; a frame that no callback told of is in the sums of the samples."""
    points = [(sample["at"], float(sample["presented"])) for sample in series.samples]
    return round(at_time(points, end) - at_time(points, begin))


def frame_gaps(series: Series, begin: float, end: float) -> list[float]:
    """ms between presented frames; the borders count as frames, so that a stop is a gap."""
    times = [begin, *(at for at, _, _ in series.frames if begin <= at < end), end]
    return [after - before for before, after in itertools.pairwise(times)]


def longest_sound_gap(series: Series, begin: float, end: float) -> float:
    """ms without new sound; one that is still open at the end counts up to it."""
    ended = [(at, gap) for at, gap in series.sound_gaps if at >= begin and at - gap < end]
    last = max((at for at, _ in series.sound_gaps if at < end), default=begin)
    overlaps = [min(at, end) - max(at - gap, begin) for at, gap in ended]
    return max([*overlaps, end - last if not ended or ended[-1][0] < end else 0.0])


def heights(frames: Sequence[tuple[float, int, int]]) -> dict[int, float]:
    """Share of frames by picture height, the most frequent first."""
    counts: dict[int, int] = {}
    for _, _, height in frames:
        counts[height] = counts.get(height, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return {height: count / len(frames) for height, count in ordered}


def at_time(points: Sequence[tuple[float, float]], when: float) -> float:
    """A counter's value at a time, between its readings; flat beyond them."""
    if not points:
        return 0.0
    before = points[0]
    for point in points:
        if point[0] >= when:
            span = point[0] - before[0]
            share = (when - before[0]) / span if span > 0 else 0.0
            return before[1] + (point[1] - before[1]) * max(share, 0.0)
        before = point
    return before[1]


@dataclass(frozen=True)
class Spell:
    """A time in which the picture had one height; 0 is no new frame for more than a second."""

    begin_s: float
    end_s: float
    height: int


NO_PICTURE_MS = 1000.0


def timeline(series: Series, begin: float, end: float) -> list[Spell]:
    """Which height was shown when, seconds from `begin`."""
    spells: list[Spell] = []
    at, height = begin, 0
    for shown_at, _, shown in series.frames:
        if not begin <= shown_at < end:
            continue
        if shown_at - at > NO_PICTURE_MS:
            _extend(spells, at, shown_at, 0, begin)
        elif height:
            _extend(spells, at, shown_at, height, begin)
        at, height = shown_at, shown
    left = 0 if end - at > NO_PICTURE_MS else height
    _extend(spells, at, end, left, begin)
    return spells


def _extend(spells: list[Spell], at: float, to: float, height: int, begin: float) -> None:
    begin_s, end_s = (at - begin) / 1000, (to - begin) / 1000
    if spells and spells[-1].height == height:
        spells[-1] = Spell(spells[-1].begin_s, end_s, height)
    else:
        spells.append(Spell(begin_s, end_s, height))


STEADY_MS = 2000.0
STEADY_FPS = 20.0


def steady_from(series: Series, begin: float, end: float, height: int) -> float | None:
    """ms from `begin` until this height (or more) is shown for 2 s on end at 20 frames a second."""
    times = [at for at, _, shown in series.frames if begin <= at < end and shown >= height]
    lower = [at for at, _, shown in series.frames if begin <= at < end and shown < height]
    needed = int(STEADY_FPS * STEADY_MS / 1000)
    for index, at in enumerate(times):
        until = at + STEADY_MS
        within = [t for t in times[index : index + 4 * needed] if t < until]
        if len(within) >= needed and not any(at <= t < until for t in lower):
            return at - begin
    return None
