"""The hub in one host, viewers in others: the whole broadcast over lines with faults."""

from __future__ import annotations

import sys

import aiohttp
import pytest

from tests.browser.watching import frames_advance, state_is
from tests.netns.hosts import Lan
from tests.netns.processes import ProcessEnded
from tests.netns.programs import (
    all_connected,
    chromium_in,
    demo_in,
    final_figures,
    wardcast,
    watching_in,
)

FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).status)"
LOSS = 0.05
QUALITY = """() => {
  const { totalVideoFrames, droppedVideoFrames } =
    document.querySelector("video").getVideoPlaybackQuality();
  return { totalVideoFrames, droppedVideoFrames };
}"""


async def test_a_demo_in_a_host_is_reached_from_here_and_from_other_hosts(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    async with demo_in(hub, "--no-source") as (demo, process):
        origin = demo["whep_url"].partition("/whep")[0]
        assert origin.startswith(f"http://{hub.address}:")
        async with aiohttp.ClientSession() as http, http.get(f"{origin}/healthz") as answer:
            assert answer.status == 200
        assert await commune.run([sys.executable, "-c", FETCH, f"{origin}/healthz"]) == "200\n"
        assert await process.stop() == 0


async def test_a_program_that_cannot_start_is_quoted(net: Lan) -> None:
    hub = await net.host("hub")
    process = await hub.spawn(wardcast("demo", "--json", "--host", "192.0.2.77"))
    with pytest.raises(ProcessEnded, match=r"192\.0\.2\.77|assign"):
        await process.line()


@pytest.mark.parametrize("loss", [0.0, LOSS])
async def test_viewers_over_a_lossy_line_get_every_packet(net: Lan, loss: float) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    async with demo_in(hub) as (demo, _):
        await commune.loss(loss, udp=True)
        async with watching_in(
            commune, demo["whep_url"], demo["view_tokens"], "--decode", viewers=3
        ) as watch:
            final = await final_figures(watch)
        dropped = await commune.dropped()
    shown = ("packets", "lost", "repaired", "fps_min", "longest_gap_ms", "decoded", "undecodable")
    print({key: final[key] for key in shown}, f"dropped on the line: {dropped}")
    assert final["final"]
    assert final["connected"] == final["sessions"] == 3
    assert final["fps_min"] > 15
    if not loss:
        # --decode judges a frame before its repair: only a line without loss shows them whole.
        assert (final["undecodable"], dropped) == (0, 0)
        assert final["decoded"] > 100
    else:
        assert dropped > 100
        assert final["repaired"] > 100
    # Of the last moments some repairs are still on their way.
    assert final["lost"] < final["packets"] / 500


async def test_chromium_in_a_host_plays_over_a_lossy_line(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    async with demo_in(hub) as (demo, _), chromium_in(commune) as browser:
        page = await browser.new_page()
        await page.goto(next(iter(demo["viewer_urls"].values())))
        await state_is(page, "playing")
        await commune.loss(LOSS, udp=True)
        begun = await page.evaluate(QUALITY)
        await frames_advance(page, 150)
        ended = await page.evaluate(QUALITY)
        dropped = await commune.dropped()
    print({key: ended[key] - begun[key] for key in ended}, f"dropped on the line: {dropped}")
    assert dropped > 20


@pytest.mark.parametrize("change", ["port", "address"])
async def test_viewers_play_on_when_their_translator_forgets_them(net: Lan, change: str) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    await commune.behind_nat()
    async with (
        demo_in(hub) as (demo, _),
        watching_in(
            commune, demo["whep_url"], demo["view_tokens"], viewers=3, duration_s=10
        ) as watch,
    ):
        await all_connected(watch, 3)
        await (commune.change_port() if change == "port" else commune.change_address())
        final = await final_figures(watch)
    shown = ("sessions", "recoveries", "recovery_max_ms", "longest_gap_ms", "lost")
    print(f"other {change}:", {key: final[key] for key in shown})
    assert final["connected"] == 3
    assert final["fps_min"] > 15
