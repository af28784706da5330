"""A relay pulls what its viewers want, once; it lets go, fails over and refuses loops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest
from aiortc import RTCPeerConnection

from relay.client.errors import ClientError
from relay.client.whep_client import WhepClient
from relay.transport.parameters import CloseReason
from relay.transport.port import MediaPort
from tests.integration.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.integration.media_server import STREAM, MediaServer, media_server
from tests.integration.relays import pull, relay_of, until_pulling


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Look every few milliseconds: what changes is inside a node, which tells nobody."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def refused(server: MediaServer) -> tuple[int, str]:
    """Status and sentence of a viewer's POST."""
    pc = RTCPeerConnection()
    pc.addTransceiver("video", "recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    token = server.token("view", "an-phu")
    response = await server.post(server.whep_url, token, pc.localDescription.sdp)
    await pc.close()
    return response.status, json.loads(await response.text())["detail"]


def pulls_at(server: MediaServer) -> int:
    """Relay sessions of the main stream."""
    viewers = server.node.streams[STREAM].viewers.values()
    return sum(v.grant.scope == "relay" for v in viewers)


async def test_the_first_viewer_starts_the_pull_and_the_last_ends_it() -> None:
    async with media_server() as origin, relay_of(origin) as relay:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        assert pulls_at(origin) == 0
        first = await AiortcViewer(relay, "an-phu").start()
        await first.more("video", 5)
        second = await AiortcViewer(relay, "ha-bac").start()
        await second.more("video", 5)
        assert pulls_at(origin) == 1
        upstream = relay.node.upstream_of(STREAM)
        assert upstream is not None
        assert (upstream.state, upstream.lineage) == ("live", ("origin",))
        await first.stop()
        await second.stop()
        await until(lambda: pulls_at(origin) == 0 and relay.node.upstream_of(STREAM) is None)
        await publisher.stop()


async def test_a_cascade_carries_picture_and_sound() -> None:
    async with (
        media_server() as origin,
        relay_of(origin, node_id="a") as a,
        relay_of(a, node_id="b") as b,
    ):
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        viewer = await AiortcViewer(b, "an-phu").start()
        await viewer.more("video", 10)
        upstream = b.node.upstream_of(STREAM)
        assert upstream is not None
        assert upstream.lineage == ("origin", "a")
        await viewer.stop()
        await publisher.stop()


async def test_nothing_on_air_upstream_is_409() -> None:
    async with media_server() as origin, relay_of(origin) as relay:
        status, _ = await refused(relay)
        assert status == 409


async def test_two_relays_that_pull_from_each_other_are_refused() -> None:
    async with (
        media_server(id="a", takes_publishers=False) as a,
        aiohttp.ClientSession() as http,
        relay_of(a, node_id="b") as b,
    ):
        pull(a, [b.base_url], http, linger_ms=300)
        status, detail = await refused(a)
        assert status == 508
        assert "a → b → a" in detail


async def test_a_relay_that_is_its_own_upstream_is_refused() -> None:
    async with media_server(id="a", takes_publishers=False) as a, aiohttp.ClientSession() as http:
        pull(a, [a.base_url], http, linger_ms=300)
        status, detail = await refused(a)
        assert status == 508
        assert "circle" in detail


async def test_a_pull_from_a_node_that_has_the_stream_from_the_puller_is_refused() -> None:
    async with media_server() as origin, relay_of(origin, node_id="a") as a:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        await until_pulling(a)
        port = await MediaPort.open(port=0, client=True)
        token = a.token("relay", "origin", "*")
        client = WhepClient(port, a.http, a.whep_url, token, Deaf())
        try:
            with pytest.raises(ClientError, match="circle") as refusal:
                await client.connect()
            assert refusal.value.status == 508
        finally:
            await client.close()
            await port.close()
            await publisher.stop()


class Deaf:
    """Takes nothing."""

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """Ignored."""

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Ignored."""


async def test_a_dead_upstream_is_replaced_and_viewers_keep_their_session() -> None:
    async with media_server() as origin:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        async with (
            relay_of(origin, node_id="a") as a,
            relay_of(origin, node_id="b") as b,
            media_server(key=origin.key, id="c", takes_publishers=False) as c,
            aiohttp.ClientSession() as http,
        ):
            pull(c, [a.base_url, b.base_url], http, linger_ms=300)
            viewer = await AiortcViewer(c, "an-phu").start()
            await viewer.more("video", 5)
            session = next(iter(c.node.streams[STREAM].viewers))
            # As if cut off: nothing comes from there any more, not even a goodbye.
            a.node.port.send_batch = lambda batch: None  # type: ignore[method-assign]
            for v in a.node.streams[STREAM].viewers.values():
                v.peer.send_rtcp = lambda packet: None  # type: ignore[method-assign]
            await until(lambda: c.node.streams[STREAM].lineage == ("origin", "b"), 10)
            await viewer.more("video", 10)
            assert list(c.node.streams[STREAM].viewers) == [session]
            await viewer.stop()
        await publisher.stop()


async def test_an_upstream_that_drains_is_left_without_a_gap() -> None:
    async with media_server() as origin:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        async with (
            relay_of(origin, node_id="a") as a,
            relay_of(origin, node_id="b") as b,
            media_server(key=origin.key, id="c", takes_publishers=False) as c,
            aiohttp.ClientSession() as http,
        ):
            pull(c, [a.base_url, b.base_url], http, linger_ms=300)
            viewer = await AiortcViewer(c, "an-phu").start()
            await viewer.more("video", 5)
            at_a = next(iter(a.node.streams[STREAM].viewers))
            a.events.session_event(at_a, "reconnect", {})
            await until(lambda: c.node.streams[STREAM].lineage == ("origin", "b"))
            await until(lambda: not a.node.streams[STREAM].viewers)
            await viewer.more("video", 10)
            await viewer.stop()
        await publisher.stop()


async def test_a_silent_publisher_does_not_make_the_relay_change_its_upstream() -> None:
    async with media_server() as origin, relay_of(origin) as relay:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        await until_pulling(relay)
        for feed in origin.node.streams[STREAM].feeds():
            feed.end(CloseReason.DELETED)
        await until(lambda: relay.node.streams[STREAM].on_air.state == "silent")
        upstream = relay.node.upstream_of(STREAM)
        assert upstream is not None
        assert (upstream.state, upstream.failovers) == ("silent", 0)
        await publisher.stop()
        again = await AiortcPublisher(origin).start()
        await relay.on_air()
        assert relay.node.pulls[STREAM].failovers == 0
        await again.stop()
