"""A real redis-server of a test's own."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import tempfile
from contextlib import suppress

READY_S = 10.0


class RedisServer:
    """Start, stop, kill and start again on the same port; keeps nothing on disk."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = tempfile.TemporaryDirectory(prefix="wardcast-redis-")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> RedisServer:
        """Until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "these tests need redis-server"
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        arguments += ["--appendonly", "no", "--dir", self._directory.name]
        self._process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(READY_S):
            while not await self._answers():
                assert self._process.returncode is None, f"ended: port {self.port} is taken?"
                await asyncio.sleep(0.02)
        return self

    async def kill(self) -> None:
        """As a crash would."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """A crash, and empty on the same port."""
        await self.kill()
        await self.start()

    async def stop(self) -> None:
        """End it and forget its folder."""
        await self._end(signal.SIGTERM)
        self._directory.cleanup()

    async def freeze(self, frozen: bool) -> None:
        """Connections stand, nothing is answered; as a network that drops everything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    async def _end(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            await self._process.wait()

    async def _answers(self) -> bool:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
                await writer.wait_closed()
        return False
