"""Probes over real sockets: what a relay answers, and what counts when it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hub.relays.probe import Prober, is_told_address
from hub.relays.registry import ProbeKind, Relay, RelayRegistry
from relay.control.messages import Hello
from relay.transport import MediaPort

HOST = "127.0.0.1"


class Link:
    def send(self, message: object) -> bool:
        return True

    def close(self, code: int, reason: str) -> None: ...


def relay_at(registry: RelayRegistry, base_url: str, media_port: int, now_ms: float) -> Relay:
    hello = Hello(
        id="relay-1",
        instance="i",
        version="1",
        pid=1,
        base_url=base_url,
        media_port=media_port,
        capacity=1,
    )
    return registry.hello(hello, Link(), now_ms)


def clock_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


@asynccontextmanager
async def probing(registry: RelayRegistry) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as http:
        task = asyncio.create_task(Prober(registry, http, clock_ms).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def healthy() -> AsyncIterator[str]:
    """The URL of a server that is well."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    async with TestServer(app, host=HOST) as server:
        yield str(server.make_url("/"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_media_port_answers_until_it_closes() -> None:
    port = await MediaPort.open(port=0, addresses=[HOST])
    number = port.port
    assert await is_told_address(HOST, number)
    await port.close()
    assert not await is_told_address(HOST, number)


async def test_a_client_that_watches_does_not_answer_strangers() -> None:
    port = await MediaPort.open(port=0, client=True)
    try:
        assert not await is_told_address(HOST, port.port)
    finally:
        await port.close()


async def test_a_port_of_something_else_is_no_media_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 0))
        other.setblocking(False)
        loop = asyncio.get_running_loop()
        asked = asyncio.create_task(is_told_address(HOST, other.getsockname()[1]))
        data, source = await loop.sock_recvfrom(other, 100)
        other.sendto(b"nonsense", source)
        other.sendto(data, source)
        other.sendto(b"\x01\x01" + data[2:8] + bytes(12), source)
        assert not await asked


async def test_both_ways_to_a_relay_are_tried_and_one_that_stops_is_missed() -> None:
    registry = RelayRegistry()
    port = await MediaPort.open(port=0, addresses=[HOST])
    async with healthy() as url, probing(registry):
        relay = relay_at(registry, url, port.port, clock_ms())
        await until(lambda: relay.probes_ms.keys() == set(ProbeKind))
        await port.close()

        async def two_more_of_http() -> None:
            heard = set[float]()

            def twice() -> bool:
                heard.add(relay.probes_ms[ProbeKind.HTTP])
                return len(heard) == 3

            await until(twice)

        await two_more_of_http()  # what was asked before has its answer by now
        last_ms = relay.probes_ms[ProbeKind.STUN]
        await two_more_of_http()
        assert relay.probes_ms[ProbeKind.STUN] == last_ms


@pytest.mark.parametrize(
    ("base_url", "media_port"),
    [
        ("http://[", 7000),
        ("http://127.0.0.1:1", -5),
        ("http://127.0.0.1:1", 70_000),
        ("http://127.0.0.1:99999", 0),
        ("http://no.such.host.invalid", 7000),
        ("http://xn--a\u00df..b", 7000),
    ],
)
async def test_an_address_that_is_none_is_no_answer(base_url: str, media_port: int) -> None:
    registry = RelayRegistry()
    relay = relay_at(registry, base_url, media_port, clock_ms())
    async with aiohttp.ClientSession() as http:
        prober = Prober(registry, http, clock_ms)
        for kind in ProbeKind:
            await prober._ask(relay, kind)
    assert relay.probes_ms == {}
