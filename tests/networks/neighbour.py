"""One viewer on a terrible line beside many on good ones: do these notice?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.netns.hosts import Host, lan
from tests.netns.processes import HostProcess
from tests.netns.programs import all_connected, chromium_in, demo_in, watching_in
from tests.networks.players import (
    DidNotPlayError,
    Source,
    now_ms,
    open_viewer_page,
    series_of,
    tapped,
    until_playing,
)
from tests.networks.series import Stretch, stretch

GOOD_VIEWERS = 62
BAD_LOSS, BAD_KBIT = 0.20, 300
JOIN_S = 6.0
ENDING_S = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Crowd:
    """The good viewers of one run. Gaps and latency are ms; latency is that of the first viewer's
    decoded pictures, from drawing to decoding."""

    viewers: int
    packets: int
    lost: int
    repaired: int
    fps_min: float
    longest_gap_ms: float
    stall_ms: float
    recoveries: int
    latency_p50_ms: float | None
    latency_max_ms: float | None
    sent_fps: float


@dataclass(frozen=True)
class NeighbourResult:
    """alone: the crowd without the bad viewer. bad: what that one saw."""

    alone: Crowd
    beside: Crowd
    bad: Stretch | None
    error: str = ""


async def run(seconds: float, say: Say, viewers: int = GOOD_VIEWERS) -> NeighbourResult:
    """The same crowd twice, without and with the bad viewer."""
    async with lan("hub", "good", "bad") as net:
        hub, good, bad = (net.hosts[name] for name in ("hub", "good", "bad"))
        async with demo_in(hub) as (demo, _), tapped(hub, demo, feed_janus=False) as source:
            say(f"neighbour: {viewers} alone, {seconds:.0f} s")
            alone = await _crowd(good, demo, source, viewers, seconds)
            say(f"neighbour: {viewers} beside a bad line, {seconds:.0f} s")
            error, seen = "", None
            async with _bad_viewer(bad, demo) as played:
                begin = now_ms()
                beside = await _crowd(good, demo, source, viewers, seconds)
                try:
                    seen = stretch(await played(), begin, now_ms(), source.frames(begin, now_ms()))
                except (DidNotPlayError, ValueError) as problem:
                    error = str(problem)
    return NeighbourResult(alone, beside, seen, error)


@contextlib.asynccontextmanager
async def _bad_viewer(host: Host, demo: dict[str, Any]) -> AsyncIterator[Any]:
    """wardcast's page in Chromium: it plays, and then its line goes bad."""
    async with chromium_in(host) as browser:
        page = await open_viewer_page(demo)(browser)
        await until_playing(page, "the bad viewer, while its line was good")
        await host.loss(BAD_LOSS, udp=True)
        await host.rate(BAD_KBIT, queue_ms=200.0)
        try:
            yield lambda: series_of(page)
        finally:
            await host.restore()


async def _crowd(
    host: Host, demo: dict[str, Any], source: Source, viewers: int, seconds: float
) -> Crowd:
    """tokens: of communes other than the bad viewer's."""
    names = list(demo["view_tokens"])[1:]
    tokens: Mapping[str, str] = {name: demo["view_tokens"][name] for name in names}
    arguments = ("--decode", "--ramp", str(JOIN_S / 2))
    total = JOIN_S + seconds
    async with watching_in(
        host, demo["whep_url"], tokens, *arguments, viewers=viewers, duration_s=total
    ) as watch:
        await all_connected(watch, viewers)
        begin = now_ms()
        lines = await _to_end(watch, total + ENDING_S)
        end = now_ms()
    return summed_up(lines, source.frames(begin, end) / (end - begin) * 1000)


async def _to_end(watch: HostProcess, timeout_s: float) -> list[dict[str, Any]]:
    async with asyncio.timeout(timeout_s):
        lines = [json.loads(line) for line in await watch.lines_to_end(timeout_s)]
    if not lines or not lines[-1].get("final"):
        raise DidNotPlayError(f"the crowd ended without figures: {watch.errors()}")
    return lines


def summed_up(lines: list[dict[str, Any]], sent_fps: float) -> Crowd:
    """lines: what watch printed, the last with its final figures."""
    final = lines[-1]
    seen = [line["latency_ms"] for line in lines if line.get("latency_ms") is not None]
    fps = [line["fps_min"] for line in lines[1:-1]]
    return Crowd(
        viewers=final["viewers"],
        packets=final["packets"],
        lost=final["lost"],
        repaired=final["repaired"],
        fps_min=min(fps, default=final["fps_min"]),
        longest_gap_ms=final["longest_gap_ms"],
        stall_ms=final["longest_stall_ms"],
        recoveries=final["recoveries"],
        latency_p50_ms=statistics.median(seen) if seen else None,
        latency_max_ms=max(seen, default=None),
        sent_fps=sent_fps,
    )
