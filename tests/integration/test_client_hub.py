"""The clients against the real media node and its WHIP and WHEP endpoints."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher
from relay.client.whep_client import WhepClient
from relay.core.ingest import PublisherIngest
from relay.core.rtcp import SenderReport, parse_compound
from relay.transport.port import MediaPort
from tests.integration.media_server import MediaServer, media_server


class PullingRelay:
    """What a relay does with its upstream: a WHEP client feeds an ingest."""

    def __init__(self) -> None:
        self.ingest: PublisherIngest | None = None
        self.early: list[bytes] = []
        self.media: dict[str, int] = {"audio": 0, "video": 0}
        self.keyframes = 0
        self.reports = 0
        self.news = asyncio.Event()

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        if self.ingest is None:
            self.early += packets
            return
        for source, packet in self.ingest.on_rtp([*self.early, *packets], now_ms):
            self.media[source.kind] += 1
            self.keyframes += packet.keyframe
        self.early.clear()
        self.news.set()

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        self.reports += sum(isinstance(p, SenderReport) for p in parse_compound(packet))
        if self.ingest is not None:
            self.ingest.on_rtcp(packet, now_ms)
        self.news.set()

    async def until(self, condition: object) -> None:
        assert callable(condition)
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


@contextlib.asynccontextmanager
async def on_air(server: MediaServer) -> AsyncIterator[asyncio.Task[None]]:
    publisher = LivePublisher(
        PictureFeed("Kỳ họp"), server.whip_url, server.token("publish", "studio"), http=server.http
    )
    task = asyncio.create_task(publisher.run())
    try:
        await server.on_air()
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def pulling(server: MediaServer, relay: PullingRelay) -> AsyncIterator[WhepClient]:
    port = await MediaPort.open(port=0, client=True)
    token = server.token("view", "an-phu")
    client = WhepClient(port, server.http, server.whep_url, token, relay)
    try:
        await client.connect()
        relay.ingest = PublisherIngest(client.negotiation, 1, port.now_ms())
        yield client
    finally:
        await client.close()
        await port.close()


async def test_a_relay_can_pull_into_its_ingest() -> None:
    relay = PullingRelay()
    async with media_server() as server, on_air(server), pulling(server, relay) as client:
        await relay.until(
            lambda: relay.media["video"] > 60 and relay.media["audio"] > 10 and relay.reports
        )
        assert relay.keyframes >= 1
        assert relay.ingest is not None
        assert not relay.ingest.drops
        assert {source.codec.name for source in relay.ingest.sources} == {"H264", "OPUS"}
        assert client.rtt_ms is not None


async def test_the_viewer_is_told_when_the_publisher_leaves() -> None:
    relay = PullingRelay()
    async with media_server() as server, contextlib.AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(on_air(server))
        client = await stack.enter_async_context(pulling(server, relay))
        events = client.events()
        async with asyncio.timeout(10):
            assert (await anext(events)).name == "active"
            await relay.until(lambda: relay.media["video"] > 10)
            publisher.cancel()
            assert (await anext(events)).name == "inactive"
        await events.aclose()
