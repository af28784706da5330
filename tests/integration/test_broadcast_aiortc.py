"""A stock aiortc publisher to stock aiortc viewers through a real node."""

from __future__ import annotations

import pytest

from tests.integration.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.integration.media_server import STREAM, media_server


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_picture_and_sound_reach_a_viewer(codec: str) -> None:
    async with media_server() as server:
        publisher = await AiortcPublisher(server).start(codec)
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        try:
            await viewer.more("video", 20)
            await viewer.more("audio", 20)
        finally:
            await viewer.stop()
            await publisher.stop()


async def test_publisher_returns_with_another_codec_and_viewers_go_on() -> None:
    async with media_server() as server:
        first = await AiortcPublisher(server).start("video/VP8")
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 10)
        await first.stop()
        second = await AiortcPublisher(server).start("video/H264")
        try:
            await viewer.more("video", 20)
            await viewer.more("audio", 20)
        finally:
            await viewer.stop()
            await second.stop()


async def test_viewer_is_refused_while_nothing_is_on_air() -> None:
    async with media_server() as server:
        viewer = AiortcViewer(server)
        viewer.pc.addTransceiver("video", "recvonly")
        await viewer.pc.setLocalDescription(await viewer.pc.createOffer())
        response = await server.post(server.whep_url, viewer.token, viewer.pc.localDescription.sdp)
        assert response.status == 409
        assert int(response.headers["Retry-After"]) >= 1
        await viewer.stop()


async def test_delete_frees_the_slot_and_the_viewer() -> None:
    async with media_server() as server:
        publisher = await AiortcPublisher(server).start()
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 5)
        for location, token in (
            (viewer.location, viewer.token),
            (publisher.location, publisher.token),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await server.http.delete(location, headers=headers)).status == 200
            assert (await server.http.delete(location, headers=headers)).status == 404
        stream = server.node.streams[STREAM]
        assert stream.feeds() == []
        assert stream.viewers == {}
        await viewer.stop()
        await publisher.stop()
