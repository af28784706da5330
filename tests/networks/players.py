"""Chromium pages that play, each with a probe; what the source sent meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Error, Page

from tests.netns.hosts import Host
from tests.netns.processes import HostProcess, ProcessEnded
from tests.networks.janus import AUDIO_PORT, MOUNTPOINT, VIDEO_PORT, Janus
from tests.networks.series import Series, at_time

HERE = Path(__file__).parent
PROBE = (HERE / "probe.js").read_text()
PLAIN_PLAYER = (HERE / "plain_player.js").read_text()
PLAY_TIMEOUT_S = 30.0
PAGE_SIZE = {"width": 1600, "height": 1000}
"""The picture is shown at its whole size, so that size is no reason for a lower layer."""

PlayerName = Literal["page", "repair off", "Janus"]
Open = Callable[[Browser], Coroutine[Any, Any, Page]]


class DidNotPlayError(Exception):
    """A page showed nothing; the message says which, and what it said."""


async def new_page(browser: Browser, *, plain: bool = False) -> Page:
    """An empty page with a probe in all that it opens. plain: for a player of our own, which the
    site's policy must not stop."""
    page = await browser.new_page(viewport=PAGE_SIZE, bypass_csp=plain)  # type: ignore[arg-type]
    await page.add_init_script(PROBE)
    return page


async def series_of(page: Page) -> Series:
    """All that its probe has seen."""
    return Series.of(await page.evaluate("window.networkProbe"))


async def until_playing(page: Page, what: str, timeout_s: float = PLAY_TIMEOUT_S) -> None:
    """Until 30 frames were presented and sound comes. Raises DidNotPlayError."""
    try:
        await page.wait_for_function(
            "() => networkProbe.presented > 30 && networkProbe.samples.at(-1)?.audioPackets > 20",
            timeout=timeout_s * 1000,
        )
    except Error as error:
        with contextlib.suppress(Error):
            seen = await page.evaluate(
                """() => ({ last: networkProbe.samples.at(-1), problems: networkProbe.problems,
                            text: document.body.innerText.slice(0, 400) })"""
            )
            raise DidNotPlayError(f"{what} did not play: {json.dumps(seen)}") from error
        raise DidNotPlayError(f"{what} did not play: {error}") from error


def open_viewer_page(demo: dict[str, Any]) -> Open:
    """wardcast's own page."""

    async def opened(browser: Browser) -> Page:
        page = await new_page(browser)
        await page.goto(next(iter(demo["viewer_urls"].values())))
        return page

    return opened


def open_without_repair(demo: dict[str, Any]) -> Open:
    """The same stream, of a browser whose offer knows no repair."""
    token = next(iter(demo["view_tokens"].values()))
    where = {"url": demo["whep_url"], "token": token, "repair": False}
    return _open_plain(demo, "where => plainPlayer.whep(where)", where)


def open_janus(demo: dict[str, Any], janus: Janus) -> Open:
    """The same stream through Janus."""
    where = {"url": janus.url, "mountpoint": MOUNTPOINT}
    return _open_plain(demo, "where => plainPlayer.janus(where)", where)


def _open_plain(demo: dict[str, Any], script: str, where: dict[str, Any]) -> Open:
    async def opened(browser: Browser) -> Page:
        page = await new_page(browser, plain=True)
        await page.goto(demo["whep_url"].partition("/whep")[0] + "/healthz")
        await page.evaluate(PLAIN_PLAYER)
        try:
            await page.evaluate(script, where)
        except Error as error:
            await page.close()
            raise DidNotPlayError(str(error)) from error
        return page

    return opened


@dataclass
class Source:
    """What the tap has counted."""

    readings: list[dict[str, float]] = field(default_factory=list)

    def frames(self, begin: float, end: float) -> int:
        """That the source sent in [begin, end), epoch ms."""
        points = [(one["at"], one["frames"]) for one in self.readings]
        return round(at_time(points, end) - at_time(points, begin))


@contextlib.asynccontextmanager
async def tapped(host: Host, demo: dict[str, Any], *, feed_janus: bool) -> AsyncIterator[Source]:
    """A tap beside the server while inside. Raises ProcessEnded when it cannot watch."""
    tokens = list(demo["view_tokens"].values())
    command = [sys.executable, "-m", "tests.networks.tap", demo["whep_url"]]
    if feed_janus:
        command += ["--audio", str(AUDIO_PORT), "--video", str(VIDEO_PORT)]
    process = await host.spawn(command, {"WARDCAST_TOKEN": tokens[-1]})
    source = Source()
    source.readings.append(await process.json_line(PLAY_TIMEOUT_S))
    reading = asyncio.create_task(_read(process, source))
    try:
        yield source
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        if process.running:
            await process.stop()


async def _read(process: HostProcess, source: Source) -> None:
    with contextlib.suppress(ProcessEnded):
        while True:
            source.readings.append(await process.json_line(PLAY_TIMEOUT_S))


def now_ms() -> float:
    """The clock of pages and taps."""
    return time.time() * 1000
