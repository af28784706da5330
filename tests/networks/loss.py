"""What a person sees and hears at a share of lost packets: our page, no repair, Janus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser

from tests.netns.hosts import Host, lan
from tests.netns.programs import chromium_in, demo_in
from tests.netns.rules import Direction
from tests.networks.delay import delayed
from tests.networks.janus import installed, janus_in
from tests.networks.players import (
    DidNotPlayError,
    Open,
    Source,
    now_ms,
    open_janus,
    open_viewer_page,
    open_without_repair,
    series_of,
    tapped,
    until_playing,
)
from tests.networks.series import Stretch, stretch

SETTLE_S = 3.0
"""Between the first frames and the first loss: buffers have their size."""
SOURCE_FPS = 30.0
STARVED = 0.95
"""A source that sends a smaller share of its frames has not enough of the processor."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class LossRow:
    """One player at one loss. error: why there are no figures."""

    loss: float
    player: str
    figures: Stretch | None
    error: str = ""


@dataclass(frozen=True)
class Stage:
    """A broadcast that plays, and the host of its only viewer."""

    commune: Host
    browser: Browser
    players: dict[str, Open]
    source: Source
    demo: dict[str, Any]


@contextlib.asynccontextmanager
async def stage(
    delay_ms: float, *, janus: bool, publish: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Hub, source, tap, Janus if wanted, and Chromium on a line of delay_ms each way."""
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(lan("hub", "commune"))
        hub, commune = net.hosts["hub"], net.hosts["commune"]
        demo, _ = await stack.enter_async_context(demo_in(hub, *publish))
        players = {"wardcast": open_viewer_page(demo), "repair off": open_without_repair(demo)}
        if janus:
            server = await stack.enter_async_context(janus_in(hub))
            players["Janus"] = open_janus(demo, server)
        source = await stack.enter_async_context(tapped(hub, demo, feed_janus=janus))
        await stack.enter_async_context(delayed(net, commune, delay_ms))
        browser = await stack.enter_async_context(chromium_in(commune))
        yield Stage(commune, browser, players, source, demo)


async def measure(
    on: Stage, player: str, loss: float, seconds: float, direction: Direction = "down"
) -> LossRow:
    """Open the page on a clean line, then lose packets for so long."""
    try:
        page = await on.players[player](on.browser)
    except DidNotPlayError as error:
        return LossRow(loss, player, None, str(error))
    try:
        await until_playing(page, f"{player} at {loss:.0%}")
        await asyncio.sleep(SETTLE_S)
        await on.commune.loss(loss, direction, udp=True)
        begin = now_ms()
        await asyncio.sleep(seconds)
        end = now_ms()
        await on.commune.restore()
        await asyncio.sleep(1.0)
        figures = stretch(await series_of(page), begin, end, on.source.frames(begin, end))
    except (DidNotPlayError, ValueError) as error:
        return LossRow(loss, player, None, str(error))
    finally:
        await on.commune.restore()
        await page.close()
    if player == "repair off" and (figures.nacks or figures.rtx):
        return LossRow(loss, player, None, f"its repair was not off: {figures.nacks} NACKs")
    return LossRow(loss, player, figures)


def sent_fps(row: LossRow) -> float:
    """Of the source meanwhile; 0 for a page that did not play."""
    return (row.figures.sent or 0) / row.figures.seconds if row.figures else 0.0


def starved(row: LossRow) -> bool:
    """The machine was too busy for the source itself: the row says little about the line. A page
    that did not play is never excused so."""
    return row.figures is not None and sent_fps(row) < STARVED * SOURCE_FPS


async def run(
    losses: Sequence[float],
    seconds: float,
    delay_ms: float,
    say: Say,
    players: Sequence[str] = (),
    direction: Direction = "down",
    retries: int = 0,
) -> list[LossRow]:
    """All players at each loss (0 … 1), one page after the other. A row whose source had not enough
    of the processor is measured again, at most `retries` times; the least disturbed one counts."""
    rows = []
    janus = installed() and (not players or "Janus" in players)
    if not installed():
        say("Janus is not installed (Debian package janus): no comparison with it")
    async with stage(delay_ms, janus=janus) as on:
        for loss in losses:
            for player in [one for one in on.players if not players or one in players]:
                tries: list[LossRow] = []
                while not tries or (len(tries) <= retries and starved(tries[-1])):
                    say(f"loss {loss:.0%}, {player}: {seconds:.0f} s")
                    tries.append(await measure(on, player, loss, seconds, direction))
                rows.append(max(tries, key=sent_fps))
    return rows
