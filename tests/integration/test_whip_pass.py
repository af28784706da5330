"""WHIP through the hub to an origin of its own, and what happens when that origin is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from hub.server import Hub
from hub.tokens import KEY_FILE, load_or_create_key
from relay.control.messages import Beat, Hello
from tests.integration.media_server import STREAM, MediaServer, media_server
from tests.integration.test_hub_server import bearer
from tests.integration.test_relay_link import Linked, linking, serving


def origin_hello(name: str, base_url: str) -> Hello:
    return Hello(
        id=name,
        instance=f"of-{name}",
        role="origin",
        version="1",
        pid=1,
        base_url=base_url,
        media_port=1,
        capacity=10,
    )


@asynccontextmanager
async def beating(relay: Linked) -> AsyncIterator[None]:
    """An origin that says it is ready, as often as a real one."""

    async def beat() -> None:
        while True:
            await relay.say(Beat(viewers=0, ready=True, draining=False))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def with_origin(
    tmp_path: Path,
) -> AsyncIterator[tuple[Hub, aiohttp.ClientSession, MediaServer]]:
    """A hub and one origin that is registered with it."""
    async with (
        serving(tmp_path) as (hub, issuer, http),
        media_server(key=load_or_create_key(tmp_path / KEY_FILE), id="origin") as origin,
        linking(http, issuer, "origin") as link,
    ):
        await link.say(origin_hello("origin", origin.base_url))
        async with beating(link):
            await until_ready(hub, http, "origin")
            yield hub, http, origin


async def until_ready(hub: Hub, http: aiohttp.ClientSession, *names: str) -> None:
    """Until the hub counts on these origins."""
    async with asyncio.timeout(5):
        while True:
            headers = bearer(hub.links.operate_token)
            async with http.get("/api/operator/relays", headers=headers) as answer:
                rows = (await answer.json())["relays"]
            if {r["id"] for r in rows if r["state"] == "ready"} >= set(names):
                return
            await asyncio.sleep(0.02)


class Publisher:
    """A stock aiortc publisher at a WHIP endpoint of the hub."""

    def __init__(self, http: aiohttp.ClientSession, token: str) -> None:
        self.pc = RTCPeerConnection()
        self.status = 0
        self.location = ""
        self._http = http
        self._headers = {**bearer(token), "Content-Type": "application/sdp"}

    async def offer(self) -> Publisher:
        self.pc.addTrack(AudioStreamTrack())
        self.pc.addTrack(VideoStreamTrack())
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp = self.pc.localDescription.sdp
        path = f"/whip/{STREAM}"
        async with self._http.post(
            path, data=sdp, headers=self._headers, allow_redirects=False
        ) as answer:
            self.status, text = answer.status, await answer.text()
            self.location = answer.headers.get("Location", "")
        if self.status == 201:
            await self.pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        return self

    async def call(self, method: str, **headers: str) -> int:
        async with self._http.request(
            method, self.location, headers={**self._headers, **headers}, data=""
        ) as answer:
            return answer.status


async def test_a_publisher_sees_the_hub_and_its_media_goes_to_the_origin(tmp_path: Path) -> None:
    async with with_origin(tmp_path) as (hub, http, origin):
        publisher = await Publisher(http, hub.links.publish_token).offer()
        assert publisher.status == 201
        # A path of the hub's own: the session is reached the way it was made.
        assert publisher.location.startswith(f"/whip/{STREAM}/")
        await origin.on_air()
        assert hub.node.streams[STREAM].feeds() == []
        assert await publisher.call("PATCH") == 415
        assert await publisher.call("DELETE") == 200
        assert await publisher.call("DELETE") == 404
        assert origin.node.streams[STREAM].feeds() == []
        await publisher.pc.close()


async def test_refusals_of_the_origin_come_through(tmp_path: Path) -> None:
    async with with_origin(tmp_path) as (hub, http, origin):
        path = f"/whip/{STREAM}"
        sdp = {"Content-Type": "application/sdp"}
        good = bearer(hub.links.publish_token)
        for headers, body, status in (
            (sdp, "v=0", 401),
            ({**sdp, **bearer(hub.links.view_tokens["an-phu"])}, "v=0", 403),
            ({**sdp, **good}, "nonsense", 400),
            ({**good, "Content-Type": "text/plain"}, "v=0", 415),
            ({**sdp, **good}, "x" * 70_000, 413),
        ):
            async with http.post(path, data=body, headers=headers) as answer:
                assert answer.status == status
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert (await answer.json())["status"] == status
        async with http.options(path) as answer:
            assert answer.status == 200
        first = await Publisher(http, hub.links.publish_token).offer()
        await origin.on_air()
        second = await Publisher(http, hub.links.backup_publish_token).offer()
        assert (first.status, second.status) == (201, 409)
        await first.pc.close()
        await second.pc.close()


async def test_without_an_origin_the_hub_takes_the_publisher_itself(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, _, http):
        publisher = await Publisher(http, hub.links.publish_token).offer()
        assert publisher.status == 201
        assert len(hub.node.streams[STREAM].feeds()) == 1
        assert await publisher.call("DELETE") == 200
        await publisher.pc.close()


async def test_a_standby_takes_over_when_the_first_origin_does_not_answer(tmp_path: Path) -> None:
    key_file = tmp_path / KEY_FILE
    async with (
        serving(tmp_path) as (hub, issuer, http),
        media_server(key=load_or_create_key(key_file), id="origin-b") as standby,
        linking(http, issuer, "origin-a") as first,
        linking(http, issuer, "origin-b") as second,
    ):
        # The first one still beats, but nothing listens on its port.
        await first.say(origin_hello("origin-a", "http://127.0.0.1:1"))
        await second.say(origin_hello("origin-b", standby.base_url))
        async with beating(first), beating(second):
            await until_ready(hub, http, "origin-a", "origin-b")
            publisher = await Publisher(http, hub.links.publish_token).offer()
            assert publisher.status == 201
            await standby.on_air()
            assert await publisher.call("DELETE") == 200
        await publisher.pc.close()


@pytest.mark.parametrize("answers", [False, True])
async def test_an_origin_that_hangs_or_talks_nonsense_is_a_503_or_its_word(
    tmp_path: Path, answers: bool
) -> None:
    async def strange(request: web.Request) -> web.Response:
        if not answers:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=418, text="teapot")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", strange)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with serving(tmp_path) as (hub, issuer, http), linking(http, issuer, "origin") as link:
        await link.say(origin_hello("origin", base))
        async with beating(link):
            await until_ready(hub, http, "origin")
            publisher = await Publisher(http, hub.links.publish_token).offer()
            assert publisher.status == (418 if answers else 503)
        await publisher.pc.close()
    await runner.cleanup()
