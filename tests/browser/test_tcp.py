"""A page in a network that drops UDP plays over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.stub_hub import STREAM, StubHub, live_source
from tests.browser.watching import frames_advance, has_sound, state_is

RULES = [
    (program, chain, flag)
    for program in ("iptables", "ip6tables")
    for chain in ("INPUT", "OUTPUT")
    for flag in ("--dport", "--sport")
]


async def rule(action: str, program: str, chain: str, flag: str, port: int) -> None:
    """Drop UDP of a port: put first (-I) or taken away (-D)."""
    process = await asyncio.create_subprocess_exec(
        program, "-w", action, chain, "-p", "udp", flag, str(port), "-j", "DROP"
    )
    assert await process.wait() == 0


@contextlib.asynccontextmanager
async def without_udp(port: int) -> AsyncIterator[None]:
    """No datagram to or from the port."""
    async with contextlib.AsyncExitStack() as stack:
        for where in RULES:
            await rule("-I", *where, port)
            stack.push_async_callback(rule, "-D", *where, port)
        yield


async def on_air(hub: StubHub) -> None:
    """Until the source's media is here."""
    assert hub.node is not None
    assert hub.events is not None
    subscription = hub.events.subscribe("test", STREAM, frozenset({"active"}))
    while not hub.node.streams[STREAM].codecs_on_air():
        assert await subscription.wait(20.0), "nothing went on air"
    hub.events.unsubscribe(subscription)


def transports(hub: StubHub) -> list[str]:
    assert hub.node is not None
    stream = hub.node.snapshot().streams[0]
    assert stream.name == STREAM
    return [viewer.transport for viewer in stream.viewers if viewer.connected]


@pytest.mark.netns
async def test_plays_over_tcp_when_udp_is_dropped(hub: StubHub, open_page: OpenPage) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        assert transports(hub) == ["udp"]
        await page.close()
    # The source has no UDP either: it publishes over TCP.
    async with without_udp(hub.media_port), live_source(hub):
        await on_air(hub)
        began = time.monotonic()
        page = await open_page(hub.viewer_url())
        await state_is(page, "playing")
        print(f"first frame over TCP after {time.monotonic() - began:.2f} s")
        await frames_advance(page, 60)
        await has_sound(page)
        assert transports(hub)[-1] == "tcp"
        # Live, and live after a while too.
        await frames_advance(page, 150)
        await page.close()
