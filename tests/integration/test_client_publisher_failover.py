"""The live source when its origin dies: real processes and sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp

from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher, PublishStatus
from relay.transport.parameters import CloseReason
from tests.integration.media_server import STREAM, MediaServer, media_server
from tests.integration.node_process import node_process


class Following:
    """A publisher and the news of it."""

    def __init__(self, http: aiohttp.ClientSession, urls: list[str], token: str) -> None:
        self.news = asyncio.Event()
        self.states: list[str] = []
        self.publisher = LivePublisher(
            PictureFeed("Kỳ họp", bits_per_second=600_000),
            urls,
            token,
            http=http,
            full_bps=600_000,
            on_status=self._on_status,
        )

    def _on_status(self, status: PublishStatus) -> None:
        self.states.append(status.state)
        self.news.set()

    async def until(self, condition: Callable[[PublishStatus], bool]) -> PublishStatus:
        async with asyncio.timeout(20):
            while not condition(self.publisher.status):
                self.news.clear()
                await self.news.wait()
        return self.publisher.status


@contextlib.asynccontextmanager
async def publishing(
    http: aiohttp.ClientSession, urls: list[str], token: str
) -> AsyncIterator[Following]:
    following = Following(http, urls, token)
    task = asyncio.create_task(following.publisher.run())
    try:
        yield following
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _lands_on(standby: MediaServer, end: str) -> PublishStatus:
    token = standby.token("publish", "studio")
    async with node_process(standby.key, picture=False) as first, aiohttp.ClientSession() as http:
        urls = [f"{first.base_url}/whip/{STREAM}", standby.whip_url]
        async with publishing(http, urls, token) as following:
            await following.until(lambda status: status.url == urls[0] and status.fps > 10)
            getattr(first, end)()
            status = await following.until(lambda status: status.sessions == 2)
            await standby.on_air()
            assert status.url == urls[1]
            assert status.last_gap_ms is not None
            print(f"{end}: live again after {status.last_gap_ms} ms")
            return status


async def test_a_publisher_whose_origin_is_killed_lands_on_the_next() -> None:
    async with media_server() as standby:
        await _lands_on(standby, "kill")


async def test_a_publisher_whose_origin_freezes_lands_on_the_next() -> None:
    async with media_server() as standby:
        await _lands_on(standby, "freeze")


async def test_a_publisher_whose_session_is_ended_is_back_without_waiting() -> None:
    async with media_server() as server, aiohttp.ClientSession() as http:
        token = server.token("publish", "studio")
        async with publishing(http, [server.whip_url], token) as following:
            await server.on_air()
            (feed,) = server.node.streams[STREAM].feeds()
            feed.end(CloseReason.SHUTDOWN)
            status = await following.until(lambda status: status.sessions == 2)
            print(f"ended: live again after {status.last_gap_ms} ms")
            assert "waiting" not in following.states
            await server.on_air()
