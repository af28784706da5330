"""Opening the page where no UDP passes: when does the picture come?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.networks.loss import Stage, stage
from tests.networks.players import DidNotPlayError, now_ms, series_of, until_playing
from tests.networks.series import stretch

PLAY_S = 5.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class BlockedRow:
    """One opening. first_frame_ms: from the navigation's begin to the first presented frame.
    rendered, longest_gap_ms: of the 5 s after that."""

    udp: bool
    first_frame_ms: float | None
    transport: str = ""
    rendered: float | None = None
    longest_gap_ms: float | None = None
    concealed: float | None = None
    error: str = ""


async def run(times: int, delay_ms: float, say: Say) -> list[BlockedRow]:
    """The page opened so many times with UDP, and so many without."""
    rows = []
    async with stage(delay_ms, janus=False) as on:
        for udp in (True, False):
            if not udp:
                await on.commune.drop(udp=True)
            for number in range(times):
                say(f"{'with' if udp else 'without'} UDP: opening {number + 1} of {times}")
                rows.append(await open_once(on, udp=udp))
    return rows


async def open_once(on: Stage, *, udp: bool) -> BlockedRow:
    """udp: whether the line passes it; the caller has seen to that."""
    page = await on.players["wardcast"](on.browser)
    try:
        await until_playing(page, f"the page {'with' if udp else 'without'} UDP")
        begin = now_ms()
        await asyncio.sleep(PLAY_S)
        end = now_ms()
        await asyncio.sleep(0.6)
        series = await series_of(page)
        figures = stretch(series, begin, end, on.source.frames(begin, end))
    except (DidNotPlayError, ValueError) as error:
        return BlockedRow(udp, None, error=str(error))
    finally:
        await page.close()
    return BlockedRow(
        udp,
        series.first_frame_ms,
        figures.transport,
        figures.rendered,
        figures.longest_gap_ms,
        figures.concealed,
    )
