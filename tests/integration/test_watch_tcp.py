"""A whole broadcast to viewers over TCP: the command, and one on a slow line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable

import pytest

from relay.client.leg import Leg, ViewerSession
from relay.client.places import Place, Places
from relay.client.port_session import PortSession
from relay.client.watcher import Watcher
from relay.core.drops import DropReason
from relay.node.snapshot import ViewerSnapshot
from relay.transport.tcp_stream import TcpStream
from tests.integration.media_server import STREAM, MediaServer, media_server

WAIT_S = 20.0


@contextlib.asynccontextmanager
async def broadcast() -> AsyncIterator[MediaServer]:
    """A node on the air with the test picture."""
    async with media_server() as server:
        environment = {**os.environ, "SOURCE_TOKEN": server.token("publish", "ward")}
        words = ("-m", "hub.source", "--token-env", "SOURCE_TOKEN", "--url", server.whip_url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, env=environment, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            await server.on_air(WAIT_S)
            yield server
        finally:
            process.kill()
            await process.wait()


def viewer(server: MediaServer, commune: str) -> ViewerSnapshot:
    stream = next(s for s in server.node.snapshot().streams if s.name == STREAM)
    return next(v for v in stream.viewers if v.commune == commune)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def watching(
    server: MediaServer, commune: str, *, tcp_only: bool
) -> AsyncIterator[tuple[Watcher, list[PortSession]]]:
    """A viewer that has its picture, and the sessions that it opened."""
    sessions: list[PortSession] = []
    token = server.token("view", commune)

    async def open_session(leg: Leg, place: Place) -> ViewerSession:
        session = await PortSession.open(server.http, place.url, token, leg, tcp_only=tcp_only)
        sessions.append(session)
        return session

    watcher = Watcher(commune, open_session, Places(server.whep_url), events=False)

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.1)
            watcher.tick(asyncio.get_running_loop().time() * 1000)

    tasks = [asyncio.create_task(watcher.run()), asyncio.create_task(tick())]
    try:
        await until(lambda: frames(watcher) > 10)
        yield watcher, sessions
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def frames(watcher: Watcher) -> int:
    return watcher.measure(asyncio.get_running_loop().time() * 1000).frames


async def test_the_command_watches_over_tcp_alone() -> None:
    async with broadcast() as server:
        environment = {**os.environ, "WARDCAST_TOKEN": server.token("view", "an-phu")}
        code = "from hub.cli.main import main; main()"
        words = ("watch", server.whep_url, "--tcp-only", "--json", "--duration", "4", "--decode")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, *words, env=environment, stdout=PIPE, stderr=PIPE
        )
        assert process.stdout is not None
        while (
            json.loads(await asyncio.wait_for(process.stdout.readline(), WAIT_S))["connected"] < 1
        ):
            pass
        assert viewer(server, "an-phu").transport == "tcp"
        out, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    final = json.loads(out.splitlines()[-1])
    assert process.returncode == 0
    assert final["lost"] == 0
    assert final["decoded"] > 20
    assert final["undecodable"] == 0


async def test_a_viewer_on_a_slow_line_skips_to_key_frames_and_costs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        broadcast() as server,
        watching(server, "an-phu", tcp_only=True) as (slow, sessions),
        watching(server, "binh-loi", tcp_only=False) as (steady, _),
    ):
        transports = [viewer(server, name).transport for name in ("an-phu", "binh-loi")]
        assert transports == ["tcp", "udp"]
        (stream,) = sessions[0]._port.streams._streams.values()
        drops = server.node.port.counters.drops
        async with slow_line(stream, monkeypatch):
            before = frames(steady)
            await until(lambda: drops[DropReason.SEND_QUEUE_FULL] > 0)
            await until(lambda: viewer(server, "an-phu").video_state == "waiting")
            shown = frames(slow)
            await until(lambda: frames(slow) > shown + 10)
            await until(lambda: frames(steady) > before + 50)
        await until(lambda: viewer(server, "an-phu").video_state == "live")
        shown = frames(slow)
        await until(lambda: frames(slow) > shown + 50)
        assert viewer(server, "an-phu").transport == "tcp"
        assert len(sessions) == 1
        assert steady.measure(asyncio.get_running_loop().time() * 1000).lost == 0


@contextlib.asynccontextmanager
async def slow_line(stream: TcpStream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Some 1.3 Mbit/s, half of what the picture takes, and little room at the reader."""
    loop = asyncio.get_running_loop()
    stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    loop.remove_reader(stream._fd)

    async def read() -> None:
        while not stream.closed:
            await asyncio.sleep(0.05)
            stream.on_readable()

    with monkeypatch.context() as patch:
        patch.setattr("relay.transport.tcp_stream.READ_BYTES", 8 * 1024)
        reading = asyncio.create_task(read())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    if not stream.closed:
        loop.add_reader(stream._fd, stream.on_readable)
