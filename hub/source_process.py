"""The live source of a demo: a process of its own, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path

STOP_S = 3.0
RESTART_S = 1.0
PR_SET_PDEATHSIG = 1
TOKEN_VARIABLE = "WARDCAST_SOURCE_TOKEN"  # noqa: S105  the variable's name, not a token

log = logging.getLogger(__name__)


def _die_with_parent() -> None:
    """A hub that is killed must not leave its source behind (Linux; elsewhere nothing happens)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class SourceProcess:
    """Publishes the test picture, or a file in a loop, to a WHIP URL."""

    def __init__(
        self, whip_url: str, token: str, *, file: Path | None, title: str, restart: bool
    ) -> None:
        self._command = [sys.executable, "-m", "hub.source", "--url", whip_url]
        self._command += ["--token-env", TOKEN_VARIABLE, "--title", title]
        if file is not None:
            self._command += ["--file", str(file)]
        self._environment = {**os.environ, TOKEN_VARIABLE: token}
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it, and keep it running if that was asked for."""
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it; killed if it does not listen."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    async def _keep(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            log.warning("the source ended with code %s", code)
            if not self._restart:
                return
            await asyncio.sleep(RESTART_S)
            self._process = await self._spawn()
