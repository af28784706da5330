"""What a person sees while a line narrows to almost nothing and comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.networks.loss import stage
from tests.networks.players import DidNotPlayError, now_ms, series_of, until_playing
from tests.networks.series import (
    Series,
    Spell,
    Stretch,
    steady_from,
    stretch,
    timeline,
)

PHASES_KBIT = (3000, 600, 150, 3000)
QUEUE_MS = 200.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class RatePhase:
    """One rate of the line. spells: heights over time, seconds from the phase's begin. tail: its
    last third, when all has settled."""

    kbit: int
    figures: Stretch
    tail: Stretch
    spells: list[Spell]


@dataclass(frozen=True)
class RateResult:
    """recovered_ms: from the line's recovery to the height of before; None is never.
    kbps: (seconds, kbit/s) of picture and sound together."""

    phases: list[RatePhase]
    top_height: int
    recovered_ms: float | None
    kbps: list[tuple[float, float]]
    error: str = ""


async def run(seconds: float, delay_ms: float, say: Say) -> RateResult:
    """The whole course on wardcast's own page, `seconds` at each rate, both ways."""
    async with stage(delay_ms, janus=False) as on:
        page = await on.players["wardcast"](on.browser)
        try:
            await until_playing(page, "the page before its line narrows")
            borders = []
            for kbit in PHASES_KBIT:
                say(f"rate {kbit} kbit/s: {seconds:.0f} s")
                await on.commune.rate(kbit, queue_ms=QUEUE_MS)
                borders.append(now_ms())
                await asyncio.sleep(seconds)
            borders.append(now_ms())
            await asyncio.sleep(0.5)
            series = await series_of(page)
        except DidNotPlayError as error:
            return RateResult([], 0, None, [], str(error))
        sent = [on.source.frames(begin, end) for begin, end in itertools.pairwise(borders)]
    return judge(series, PHASES_KBIT, borders, sent)


def judge(
    series: Series, kbits: Sequence[int], borders: Sequence[float], sent: Sequence[int]
) -> RateResult:
    """borders: epoch ms, one more than kbits. Raises ValueError when the page took no samples."""
    phases = []
    for index, kbit in enumerate(kbits):
        begin, end = borders[index], borders[index + 1]
        phases.append(
            RatePhase(
                kbit,
                stretch(series, begin, end, sent[index]),
                stretch(series, end - (end - begin) / 3, end),
                timeline(series, begin, end),
            )
        )
    top = max((spell.height for spell in phases[0].spells), default=0)
    recovered = steady_from(series, borders[-2], borders[-1], top) if top else None
    return RateResult(phases, top, recovered, rates(series, borders[0], borders[-1]))


def rates(series: Series, begin: float, end: float) -> list[tuple[float, float]]:
    """kbit/s between samples, at seconds from `begin`."""
    inside = [sample for sample in series.samples if begin <= sample["at"] < end]
    found = []
    for before, after in itertools.pairwise(inside):
        octets = sum(after[key] - before[key] for key in ("videoBytes", "audioBytes"))
        took_ms = after["at"] - before["at"]
        found.append(((after["at"] - begin) / 1000, round(octets * 8 / took_ms, 1)))
    return found
