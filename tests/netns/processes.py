"""A process inside a host: its lines of output, signals, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

MAX_LINES = 10_000
LINE_LIMIT_BYTES = 16 << 20
"""`watch --json` ends with one line about all viewers."""
STOP_TIMEOUT_S = 10.0
ROOT = Path(__file__).resolve().parents[2]


class ProcessEnded(RuntimeError):
    """It ended before it said what was waited for."""


class HostProcess:
    """stdout is read all the time (the last 10,000 lines are kept until asked for); stderr goes to
    a file."""

    def __init__(self, process: asyncio.subprocess.Process, argv: Sequence[str], err: IO[bytes]):
        self.argv = tuple(argv)
        self.pid = process.pid
        self._process = process
        self._err = err
        self._last_errors = ""
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._said = asyncio.Event()
        self._ended = False
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, namespace: str, argv: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> HostProcess:
        """env is added to ours. A process group of its own: Ctrl-C here does not reach it."""
        err = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", namespace, *argv),
            env={**os.environ, **env},
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,
        )
        return cls(process, argv, err)

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while line := await stdout.readline():
            self._lines.append(line.decode(errors="replace").rstrip("\n"))
            self._said.set()
        self._ended = True
        self._said.set()

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def line(self, timeout_s: float = 60.0) -> str:
        """The next line of stdout. Raises ProcessEnded, TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not self._lines:
                if self._ended:
                    raise ProcessEnded(f"{' '.join(self.argv)}: {self.errors()}")
                self._said.clear()
                await self._said.wait()
        return self._lines.popleft()

    async def json_line(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """The next line, read as JSON."""
        document: dict[str, Any] = json.loads(await self.line(timeout_s))
        return document

    async def lines_to_end(self, timeout_s: float = 60.0) -> list[str]:
        """All lines not yet taken, once it has ended by itself."""
        async with asyncio.timeout(timeout_s):
            await self._reader
            await self._process.wait()
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def errors(self, characters: int = 2000) -> str:
        """The end of its stderr."""
        if self._err.closed:
            return self._last_errors
        size = os.fstat(self._err.fileno()).st_size
        start = max(0, size - characters)
        return os.pread(self._err.fileno(), characters, start).decode(errors="replace")

    def signal(self, number: int) -> None:
        """To the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def freeze(self) -> None:
        """It stands still: sockets stay open and nobody answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It runs on."""
        self.signal(signal.SIGCONT)

    async def kill(self) -> None:
        """SIGKILL, with its children: nothing is said to anybody."""
        self.signal(signal.SIGKILL)
        await self._finish()

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM to the process alone; its status. Raises TimeoutError, after SIGKILL."""
        if self.running:
            self._process.terminate()
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        finally:
            await self.kill()
        assert self._process.returncode is not None
        return self._process.returncode

    async def _finish(self) -> None:
        await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        # A grandchild may hold the pipe open for long; nobody reads it any more.
        self._process._transport.close()  # type: ignore[attr-defined]
        if not self._err.closed:
            self._last_errors = self.errors()
            self._err.close()
