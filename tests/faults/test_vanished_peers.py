"""Peers that vanish without a word, and a server that stops (D4, D5)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.integration.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.integration.media_server import STREAM, MediaServer, media_server

ROOT = Path(__file__).resolve().parents[2]


async def until(condition, timeout_s: float) -> float:  # type: ignore[no-untyped-def]
    """Poll a server's state; seconds it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)
    return loop.time() - begun


async def watch_process(server: MediaServer, viewers: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli.main", "watch", server.whep_url),
        *("--viewers", str(viewers)),
        cwd=ROOT,
        env={**os.environ, "WARDCAST_TOKEN": server.token("view", "an-phu")},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_d4_killed_viewers_expire_in_seconds_and_harm_nobody() -> None:
    async with media_server() as server:
        publisher = await AiortcPublisher(server).start()
        await server.on_air()
        staying = await AiortcViewer(server, "hai-duong").start()
        process = await watch_process(server, 5)
        stream = server.node.streams[STREAM]
        connected = lambda: sum(v.connected_ms is not None for v in stream.viewers.values())  # noqa: E731
        await until(lambda: connected() == 6, 20)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        took_s = await until(lambda: len(stream.viewers) == 1, 20)
        print(f"killed viewers expired after {took_s:.1f} s")
        assert took_s <= 12
        await staying.more("video", 10)
        await staying.stop()
        await publisher.stop()


async def test_d5_a_server_that_stops_says_so() -> None:
    async with media_server() as server:
        publisher = await AiortcPublisher(server).start()
        await server.on_air()
        viewer = await AiortcViewer(server).start()
        await viewer.more("video", 5)
    # aiortc closes its peer connection when DTLS says goodbye; consent alone would take 30 s.
    took_s = await until(lambda: viewer.pc.connectionState in ("closed", "failed"), 5)
    print(f"viewer knew after {took_s:.2f} s")
    await viewer.stop()
    await publisher.stop()
