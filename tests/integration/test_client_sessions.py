"""Publisher and viewers over real sockets, against a hub of a hundred lines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from hub.cli.watch_decode import PictureCheck
from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher, PublishStatus
from relay.client.backoff import Backoff
from relay.client.crowd_session import CrowdIdentity, CrowdSession
from relay.client.errors import NotNowError, UnauthorizedError
from relay.client.leg import Leg, ViewerSession
from relay.client.places import Place, Places
from relay.client.port_session import PortSession
from relay.client.watcher import Watcher
from relay.client.whep_client import WhepClient
from relay.client.whip_client import WhipClient
from relay.core.rtcp import Nack, ReceiverReport, SenderReport, encode
from relay.core.rtp import parse_rtp
from relay.transport.port import MediaPort
from tests.integration.lite_hub import TOKEN, LiteHub, LiteSession, of_type


@pytest.fixture
async def hub() -> AsyncIterator[LiteHub]:
    async with LiteHub() as hub:
        yield hub


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@contextlib.asynccontextmanager
async def running(coroutine: object) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def on_air(hub: LiteHub, http: aiohttp.ClientSession) -> AsyncIterator[LivePublisher]:
    publisher = LivePublisher(PictureFeed("Kỳ họp"), hub.url("/whip/s"), TOKEN, http=http)
    async with running(publisher.run()):
        await until(lambda: hub.publisher is not None)
        assert hub.publisher is not None
        await hub.publisher.connected.wait()
        yield publisher


async def until(condition: object, timeout_s: float = 8.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def ticking(watcher: Watcher) -> None:
    while True:
        await asyncio.sleep(0.1)
        watcher.tick(asyncio.get_running_loop().time() * 1000)


def whole(hub: LiteHub, http: aiohttp.ClientSession) -> Watcher:
    async def open_session(leg: Leg, place: Place) -> ViewerSession:
        return await PortSession.open(http, place.url, TOKEN, leg)

    places = Places(hub.url("/whep/s"))
    return Watcher("whole", open_session, places, backoff=Backoff(fraction=lambda: 0.1))


def viewers_of(hub: LiteHub) -> list[LiteSession]:
    return [s for s in hub.sessions.values() if not s.is_publisher]


async def test_the_publisher_sends_both_streams_and_reports(
    hub: LiteHub, http: aiohttp.ClientSession
) -> None:
    async with on_air(hub, http) as publisher:
        session = hub.publisher
        assert session is not None
        await session.until(lambda: len(session.rtp) > 60 and len(of_type(session, SenderReport)))
        views = [parse_rtp(packet) for packet in session.rtp]
        assert {view.payload_type for view in views} == {102, 111}
        assert {view.ssrc for view in views} == {m.ssrcs[0] for m in session.media}
        assert publisher.status.state == "live"
        assert publisher.status.codec == "OPUS + H264"
    await session.closed.wait()
    assert hub.publisher is None


async def test_what_the_hub_misses_comes_again_over_rtx(
    hub: LiteHub, http: aiohttp.ClientSession
) -> None:
    async with on_air(hub, http):
        session = hub.publisher
        assert session is not None
        await session.until(lambda: any(parse_rtp(p).payload_type == 102 for p in session.rtp))
        lost = next(v for v in map(parse_rtp, session.rtp) if v.payload_type == 102)
        hub.to_publisher(encode([ReceiverReport(1), Nack(1, lost.ssrc, (lost.seq,))]))

        def repair() -> bool:
            return any(parse_rtp(p).payload_type == 103 for p in session.rtp)

        await session.until(repair)
        view = next(v for v in map(parse_rtp, session.rtp) if v.payload_type == 103)
        assert view.payload == lost.seq.to_bytes(2, "big") + lost.payload


async def test_a_viewer_decodes_the_picture_and_reads_its_clock(
    hub: LiteHub, http: aiohttp.ClientSession
) -> None:
    check: list[PictureCheck] = []
    watcher = whole(hub, http)

    def on_media(packets: Sequence[bytes], now_ms: float) -> None:
        assert watcher.negotiation is not None
        if not check:
            check.append(PictureCheck(watcher.negotiation))
        check[0].on_media(packets, now_ms)

    watcher._on_media = on_media
    async with on_air(hub, http), running(watcher.run()), running(ticking(watcher)):
        await until(lambda: check and check[0].pictures > 20 and check[0].latency_ms is not None)
        assert check[0].latency_ms is not None
        assert -5 < check[0].latency_ms < 1000
        await until(lambda: of_type(viewers_of(hub)[0], ReceiverReport))
        figures = watcher.measure(asyncio.get_running_loop().time() * 1000)
        assert figures.lost == 0
        assert figures.join_ms is not None
        assert figures.rtt_ms is not None


async def test_lost_packets_are_asked_for(hub: LiteHub, http: aiohttp.ClientSession) -> None:
    watcher = whole(hub, http)
    async with on_air(hub, http), running(watcher.run()):
        # A hole can be seen only between two packets of the same stream.
        await until(lambda: watcher.reception is not None and watcher.reception.stats("video"))
        hub.lose = 3
        await until(lambda: of_type(viewers_of(hub)[0], Nack))
        nacks = of_type(viewers_of(hub)[0], Nack)
        assert isinstance(nacks[0], Nack)
        assert 1 <= len(nacks[0].seqs) <= 3


async def test_a_crowd_counts_by_headers(hub: LiteHub, http: aiohttp.ClientSession) -> None:
    identity = CrowdIdentity()

    async def open_session(leg: Leg, place: Place) -> ViewerSession:
        return CrowdSession(identity, http, place.url, TOKEN, leg)

    places = Places(hub.url("/whep/s"))
    crowd = [Watcher(str(n), open_session, places, repairs=False) for n in range(5)]
    async with on_air(hub, http), contextlib.AsyncExitStack() as stack:
        for watcher in crowd:
            await stack.enter_async_context(running(watcher.run()))
            await stack.enter_async_context(running(ticking(watcher)))
        await until(lambda: all(w.figures.join_ms is not None for w in crowd))
        await until(
            lambda: all(w.reception is not None and w.reception.wire_bytes > 100_000 for w in crowd)
        )
        await until(lambda: all(of_type(s, ReceiverReport) for s in viewers_of(hub)))
        now_ms = asyncio.get_running_loop().time() * 1000
        for watcher in crowd:
            figures = watcher.measure(now_ms)
            assert (figures.lost, figures.out_of_order, figures.duplicates) == (0, 0, 0)
            assert figures.packets > 60
        before = viewers_of(hub)
        assert len(before) == 5
    for session in before:
        await session.closed.wait()
    identity.sockets.close()


async def test_ice_is_restarted_without_a_new_session(
    hub: LiteHub, http: aiohttp.ClientSession
) -> None:
    seen: list[int] = []

    class Handler:
        def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
            seen.append(len(packets))

        def on_rtcp(self, packet: bytes, now_ms: float) -> None: ...

    async with on_air(hub, http):
        port = await MediaPort.open(port=0)
        client = WhepClient(port, http, hub.url("/whep/s"), TOKEN, Handler())
        try:
            await client.connect()
            await until(lambda: seen)
            await client.restart_ice()
            assert client.http.etag == '"2"'
            seen.clear()
            await until(lambda: len(seen) > 10)
            assert client.connected
        finally:
            await client.close()
            await port.close()


async def test_refusals(hub: LiteHub, http: aiohttp.ClientSession) -> None:
    port = await MediaPort.open(port=0)
    nobody = LivePublisher(PictureFeed("x"), hub.url("/whip/s"), "wrong", http=http)
    try:
        with pytest.raises(UnauthorizedError, match="not valid"):
            await nobody.run()
        with pytest.raises(NotNowError, match="nothing is on air"):
            await WhepClient(port, http, hub.url("/whep/s"), TOKEN, nobody).connect()
        with pytest.raises(UnauthorizedError):
            await WhipClient(port, http, hub.url("/whip/s"), None, nobody).connect()
    finally:
        await port.close()


async def test_publisher_and_viewer_come_back_when_the_hub_does(
    http: aiohttp.ClientSession,
) -> None:
    states: list[str] = []

    def note(status: PublishStatus) -> None:
        states.append(status.state)

    async with LiteHub() as first:
        number = first.server.port
        assert number is not None
        watcher = whole(first, http)
        publisher = LivePublisher(
            PictureFeed("Kỳ họp"), first.url("/whip/s"), TOKEN, http=http, on_status=note
        )
        stack = contextlib.AsyncExitStack()
        await stack.enter_async_context(running(publisher.run()))
        await until(lambda: first.publisher is not None and first.publisher.connected.is_set())
        await stack.enter_async_context(running(watcher.run()))
        await stack.enter_async_context(running(ticking(watcher)))
        await until(lambda: watcher.figures.join_ms is not None)
    async with stack, LiteHub(http_port=number) as second:
        await until(lambda: viewers_of(second) and viewers_of(second)[0].connected.is_set(), 20)
        await until(lambda: watcher.figures.sessions == 2)
        await until(lambda: watcher.reception is not None and watcher.reception.wire_bytes)
    assert "waiting" in states
    assert publisher.status.sessions == 2
