"""WHIP and WHEP through a proxy, media through a bad line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher
from relay.client.leg import Leg, ViewerSession
from relay.client.places import Place, Places
from relay.client.port_session import PortSession
from relay.client.watcher import Watcher
from tests.integration.media_server import MediaServer, media_server
from tests.netns.link_model import LinkDrop
from tests.netns.signalling_proxy import SignallingProxy, rewrite_candidates
from tests.netns.udp_link import UdpLink

LOSS = 0.05
TIMEOUT_S = 20.0


def test_one_candidate_stands_in_for_all() -> None:
    answer = (
        "v=0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host\r\n"
        "a=candidate:2 1 udp 2130706175 fd00::1 7000 typ host\r\n"
        "a=end-of-candidates\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    )
    assert rewrite_candidates(answer, ("127.0.0.1", 5000)) == (
        "v=0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        "a=candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host\r\n"
        "a=end-of-candidates\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
    )
    assert rewrite_candidates("v=0\r\n", ("127.0.0.1", 5000)) == "v=0\r\n"


@contextlib.asynccontextmanager
async def publishing(server: MediaServer, whip_url: str) -> AsyncIterator[None]:
    """The test picture, to this URL."""
    token = server.token("publish", "studio")
    feed = PictureFeed("Kỳ họp")
    task = asyncio.create_task(LivePublisher(feed, whip_url, token, http=server.http).run())
    try:
        await server.on_air()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def watching(server: MediaServer, whep_url: str) -> AsyncIterator[Watcher]:
    """A viewer at this URL."""
    token = server.token("view", "an-phu")

    async def open_session(leg: Leg, place: Place) -> ViewerSession:
        return await PortSession.open(server.http, place.url, token, leg)

    watcher = Watcher("an-phu", open_session, Places(whep_url))
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def frames(server: MediaServer, watcher: Watcher, more: int) -> None:
    """Until the viewer has had so many more frames."""
    begun = watcher.measure(server.node.port.now_ms()).frames
    async with asyncio.timeout(TIMEOUT_S):
        while watcher.measure(server.node.port.now_ms()).frames < begun + more:
            await asyncio.sleep(0.05)


async def test_a_viewer_over_a_lossy_line_repairs_and_outlives_rebinding() -> None:
    async with (
        media_server() as server,
        UdpLink(("127.0.0.1", server.node.port.port)) as link,
        SignallingProxy(server.base_url, link.address) as proxy,
        publishing(server, server.whip_url),
        watching(server, proxy.url(server.whep_url)) as watcher,
    ):
        await frames(server, watcher, 10)
        link.set(loss=LOSS, delay_ms=10, jitter_ms=5)
        await frames(server, watcher, 60)
        assert link.drops("down")[LinkDrop.LOST] > 0
        figures = watcher.measure(server.node.port.now_ms())
        assert figures.repaired > 0
        assert figures.lost < figures.repaired / 2
        link.rebind()
        await frames(server, watcher, 60)
        figures = watcher.measure(server.node.port.now_ms())
        assert figures.recoveries == []  # the same session goes on
        print(f"longest pause, over the rebinding: {figures.longest_gap_ms:.0f} ms")
        assert len(link.clients) == 1
        assert link.own_losses() == 0


async def test_a_publisher_over_a_line_is_on_air_and_leaves() -> None:
    async with (
        media_server() as server,
        UdpLink(("127.0.0.1", server.node.port.port)) as link,
        SignallingProxy(server.base_url, link.address) as proxy,
        publishing(server, proxy.url(server.whip_url)),
    ):
        async with asyncio.timeout(TIMEOUT_S):
            while link.delivered("up") < 200:
                await asyncio.sleep(0.02)
        assert link.delivered("down") > 0
        assert len(link.clients) == 1
        gone = await server.http.get(proxy.url(server.base_url) + "/nowhere")
        assert gone.status == 404


async def test_a_server_that_is_away_is_a_502() -> None:
    async with media_server() as server:
        away = "http://127.0.0.1:9"
        async with SignallingProxy(away, ("127.0.0.1", 5000)) as proxy:
            answer = await server.post(proxy.url(away) + "/whep/x", "t", "v=0\r\n")
            assert answer.status == 502
