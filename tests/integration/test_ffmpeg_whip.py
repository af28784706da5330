"""FFmpeg's own WHIP muxer publishes; a stock aiortc viewer decodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.aiortc_peers import AiortcViewer
from tests.integration.media_server import MediaServer, media_server

ROOT = Path(__file__).resolve().parents[2]


@contextlib.asynccontextmanager
async def ffmpeg(server: MediaServer) -> AsyncIterator[None]:
    """The publisher process; it must still be running at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.ffmpeg_publisher"),
        server.whip_url,
        cwd=ROOT,
        env={**os.environ, "TOKEN": server.token("publish", "ffmpeg")},
    )
    try:
        yield
        assert process.returncode is None, "the publisher ended by itself"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def test_ffmpeg_publishes_and_a_viewer_sees_and_hears() -> None:
    async with media_server() as server, ffmpeg(server):
        await server.on_air(20)
        viewer = await AiortcViewer(server).start()
        try:
            await viewer.more("video", 30)
            await viewer.more("audio", 30)
        finally:
            await viewer.stop()
