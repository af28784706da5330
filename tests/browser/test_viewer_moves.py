"""The commune's page goes from relay to relay by itself, with the hub and without it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.async_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.watching import frames_advance, state_is
from tests.faults.tier import Tier, tier, until

LONGEST_PAUSE_MS = 2000
"""Between two frames presented, on a machine that has other work too."""

WATCH_FRAMES = """() => {
  const video = document.querySelector("video");
  window.shownAt = [];
  const next = (now) => {
    window.shownAt.push(now);
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}"""
LONGEST_PAUSE = (
    """() => Math.max(...window.shownAt.slice(1).map((at, i) => at - window.shownAt[i]))"""
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Tier]:
    """Three relays; what dies stays dead."""
    arguments = ("--data-dir", str(tmp_path / "data"), "--no-restart")
    with tier(tmp_path, *arguments, relays=3) as found:
        found.until_ready()
        yield found


async def watched(running: Tier, open_page: OpenPage, slug: str) -> tuple[Page, dict[str, Any]]:
    """A page that plays and knows its alternatives, and the row of its relay."""
    page = await open_page(running.document["viewer_urls"][slug])
    await state_is(page, "playing")
    await frames_advance(page, 30)
    await page.wait_for_function("() => window.wardcast.alternatives.length >= 2")
    place = await page.evaluate("window.wardcast.place")
    row = next(r for r in running.relays().values() if r["base_url"] == place)
    await page.evaluate(WATCH_FRAMES)
    return page, row


async def moved(page: Page, count: int) -> dict[str, Any]:
    """The page's last move, once there are `count` and the picture goes on."""
    await page.wait_for_function(
        "n => window.wardcast.moves.length === n && window.wardcast.state === 'playing'",
        arg=count,
        timeout=15_000,
    )
    await frames_advance(page, 15)
    moves: list[dict[str, Any]] = await page.evaluate("window.wardcast.moves")
    return moves[-1]


async def pause_is_short(page: Page, what: str) -> None:
    longest_ms = await page.evaluate(LONGEST_PAUSE)
    print(f"\n{what}: longest time between two frames shown {longest_ms:.0f} ms")
    assert longest_ms <= LONGEST_PAUSE_MS


async def test_without_a_hub_the_page_goes_on_by_its_own_list(
    running: Tier, open_page: OpenPage
) -> None:
    page, row = await watched(running, open_page, "an-phu")
    running.kill("hub")
    hub = psutil.Process(running.document["hub_pid"])
    until(lambda: not hub.is_running() or hub.status() == psutil.STATUS_ZOMBIE, 5)
    await frames_advance(page, 30)
    assert await page.evaluate("window.wardcast.moves") == []
    os.kill(row["pid"], signal.SIGKILL)
    move = await moved(page, 1)
    assert move["from"] == row["base_url"]
    assert move["to"] in await page.evaluate("window.wardcast.alternatives")
    assert move["to"] != move["from"]
    await pause_is_short(page, f"hub dead, then its relay ({move['took_ms']} ms to move)")
    assert await page.locator("#overlay").is_hidden()


async def test_a_relay_that_only_held_its_breath(running: Tier, open_page: OpenPage) -> None:
    """Everybody hangs, its own relay comes back first: the page goes on there, and the sessions
    that it asked for elsewhere meanwhile are closed again."""
    page, row = await watched(running, open_page, "thanh-dong")
    relays = [r["pid"] for r in running.relays().values() if r["role"] == "relay"]
    others = [running.document["hub_pid"], *(pid for pid in relays if pid != row["pid"])]
    for pid in (*others, row["pid"]):
        os.kill(pid, signal.SIGSTOP)
    try:
        await state_is(page, "reconnecting")
        assert await page.locator("#message").inner_text() == "Đang chuyển sang đường khác…"
        os.kill(row["pid"], signal.SIGCONT)
        await state_is(page, "playing")
        await frames_advance(page, 30)
        assert await page.evaluate("window.wardcast.place") == row["base_url"]
    finally:
        for pid in (*others, row["pid"]):
            os.kill(pid, signal.SIGCONT)
    until(lambda: running.relays()[row["id"]]["viewers"] == 1, 15)
    until(lambda: sum(r["viewers"] for r in running.relays().values()) == 1, 15)
    await frames_advance(page, 30)


async def test_one_relay_after_another(running: Tier, open_page: OpenPage) -> None:
    page, row = await watched(running, open_page, "hai-duong")
    for count in (1, 2):
        os.kill(row["pid"], signal.SIGKILL)
        move = await moved(page, count)
        assert move["from"] == row["base_url"]
        row = next(r for r in running.relays().values() if r["base_url"] == move["to"])
        await pause_is_short(page, f"relay {count} of 2 killed ({move['took_ms']} ms to move)")
