"""A private redis-server for a demo: on this machine alone, keeps nothing on disk."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from hub.supervisor import Child

READY_S = 10.0
LOOK_S = 0.05


def redis_child(port: int, directory: Path, *, restart: bool) -> Child:
    """Raises OSError when no redis-server is installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise OSError("--redis auto needs redis-server (Debian package redis-server)")
    directory.mkdir(parents=True, exist_ok=True)
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(directory), "--loglevel", "warning"]
    return Child("redis", command, restart=restart, quiet=True)


async def until_answers(port: int) -> None:
    """Until it answers PING. Raises TimeoutError."""
    async with asyncio.timeout(READY_S):
        while True:
            if await _ping(port):
                return
            await asyncio.sleep(LOOK_S)


async def _ping(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    except OSError:
        return False
    finally:
        writer.close()
