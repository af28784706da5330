"""Publishers that die, return, fight and take over, with real media (K1, K2, K3)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection

from tests.integration.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.integration.media_server import STREAM, MediaServer, media_server

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def source_process(
    server: MediaServer, subject: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The live source as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.source", "--url", server.whip_url, "--token-env", "TOKEN"),
        cwd=ROOT,
        env={**os.environ, "TOKEN": server.token("publish", subject)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def heard(server: MediaServer, name: str, timeout_s: float) -> float:
    """Wait for a stream event; how long it took, ms. Events before the call do not count."""
    subscription = server.events.subscribe("fault", STREAM, frozenset({"active", "inactive"}))
    seen = max((e.number for e in subscription.after(0)), default=0)
    begun_ms = server.node.port.now_ms()
    async with asyncio.timeout(timeout_s):
        while not any(e.name == name for e in subscription.after(seen)):
            await subscription.wait(timeout_s)
    server.events.unsubscribe(subscription)
    return server.node.port.now_ms() - begun_ms


async def test_killed_publisher_is_noticed_and_its_return_resumes_the_picture() -> None:
    async with media_server() as server:
        async with source_process(server, "studio") as process:
            await server.on_air(20)
            viewer = await AiortcViewer(server).start()
            await viewer.more("video", 10)
            process.send_signal(signal.SIGKILL)
            noticed_ms = await heard(server, "inactive", 6)
        assert 1000 <= noticed_ms <= 4000
        async with source_process(server, "studio"):
            await viewer.more("video", 20, 20)
            await viewer.more("audio", 20)
        print(f"publisher killed: noticed after {noticed_ms:.0f} ms")
        await viewer.stop()


async def test_k2_another_publisher_is_refused_while_the_sitting_one_is_alive() -> None:
    async with media_server() as server:
        sitting = await AiortcPublisher(server, "studio").start()
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 5)
        rival = RTCPeerConnection()
        rival.addTransceiver("video", "sendonly")
        await rival.setLocalDescription(await rival.createOffer())
        response = await server.post(
            server.whip_url, server.token("publish", "backup"), rival.localDescription.sdp
        )
        assert response.status == 409
        assert response.headers["Retry-After"]
        await viewer.more("video", 10)
        await rival.close()
        await viewer.stop()
        await sitting.stop()


async def test_k3_the_backup_takes_over_two_seconds_after_the_last_packet() -> None:
    async with media_server() as server, source_process(server, "studio") as process:
        await server.on_air(20)
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 5)
        process.send_signal(signal.SIGKILL)
        begun_ms = server.node.port.now_ms()
        backup = await AiortcPublisher(server, "backup").start(patience_s=10)
        waited_ms = server.node.port.now_ms() - begun_ms
        await viewer.more("video", 15)
        assert 1500 <= waited_ms <= 4000
        await viewer.stop()
        await backup.stop()


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_k1_the_same_token_takes_over_without_a_gap(codec: str) -> None:
    async with media_server() as server:
        first = await AiortcPublisher(server, "studio").start(codec)
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 10)
        second = await AiortcPublisher(server, "studio").start(codec)
        async with asyncio.timeout(10):
            await viewer.more("video", 60)
        stream = server.node.streams[STREAM]
        assert [p.pc.connectionState for p in (first, second)] != ["connected", "connected"]
        assert stream.publisher is not None
        assert stream.publisher_changes == 2
        await viewer.stop()
        await second.stop()
        await first.stop()
