"""The viewer's address changes while it plays: how long does the picture stand?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.networks.loss import Stage, stage
from tests.networks.players import DidNotPlayError, now_ms, series_of, until_playing
from tests.networks.series import stretch

WATCHED_S = 10.0
SETTLE_S = 3.0
SESSION = "window.wardcast.sessionId"
Say = Callable[[str], None]
Change = Literal["none", "port", "address"]


@dataclass(frozen=True)
class RebindRow:
    """One change. gap_ms: the longest time without a new frame in the 10 s after it; sound_gap_ms
    without new sound. new_session: whether the page made one."""

    change: Change
    gap_ms: float | None
    sound_gap_ms: float | None = None
    new_session: bool = False
    peers: int = 0
    error: str = ""


async def run(times: int, say: Say) -> list[RebindRow]:
    """Each change so many times, each on a fresh page; "none" says what the machine does alone."""
    rows = []
    changes: tuple[Change, ...] = ("none", "port", "address")
    async with stage(0, janus=False) as on:
        await on.commune.behind_nat()
        for change in changes:
            for number in range(times):
                say(f"rebind, {change}: {number + 1} of {times}")
                rows.append(await change_once(on, change))
    return rows


async def change_once(on: Stage, change: Change) -> RebindRow:
    """A page that plays behind the translator, and one change of it."""
    page = await on.players["wardcast"](on.browser)
    try:
        await until_playing(page, f"the page before its {change} changes")
        await asyncio.sleep(SETTLE_S)
        before = await page.evaluate(SESSION)
        begin = now_ms()
        if change == "port":
            await on.commune.change_port()
        elif change == "address":
            await on.commune.change_address()
        await asyncio.sleep(WATCHED_S)
        end = now_ms()
        await asyncio.sleep(0.6)
        after = await page.evaluate(SESSION)
        series = await series_of(page)
        figures = stretch(series, begin, end)
    except (DidNotPlayError, ValueError) as error:
        return RebindRow(change, None, error=str(error))
    finally:
        await page.close()
    return RebindRow(
        change, figures.longest_gap_ms, figures.sound_gap_ms, before != after, figures.peers
    )
