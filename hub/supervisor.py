"""Child processes that are started again when they die, and end when we do."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import Mapping, Sequence

STOP_S = 3.0
RESTART_S = 0.2
MAX_RESTART_S = 5.0
STEADY_S = 10.0
"""A process that lived this long is started again without waiting."""
PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)


def _die_with_parent() -> None:
    """A supervisor that is killed must not leave children behind (Linux; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process. environment: added to ours. stop_s: how long it may take to end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        restart: bool = True,
        stop_s: float = STOP_S,
        quiet: bool = False,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._command = tuple(command)
        self._environment = {**os.environ, **(environment or {})}
        self._restart = restart
        self._stop_s = stop_s
        self._output = asyncio.subprocess.DEVNULL if quiet else None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and keep it running if that was asked for."""
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def ended(self) -> None:
        """Until it has ended for good."""
        if self._keeper is not None:
            await asyncio.shield(self._keeper)

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
            await asyncio.wait_for(process.wait(), self._stop_s)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._output,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        delay_s = 0.0
        while self._process is not None:
            began_s = loop.time()
            code = await self._process.wait()
            log.warning("%s ended with code %s", self.name, code)
            if not self._restart:
                return
            steady = loop.time() - began_s >= STEADY_S
            delay_s = 0.0 if steady else min(MAX_RESTART_S, max(RESTART_S, delay_s * 2))
            await asyncio.sleep(delay_s)
            self.restarts += 1
            self._process = await self._spawn()


async def stop_all(children: Sequence[Child]) -> None:
    """End them together."""
    await asyncio.gather(*(child.stop() for child in children))
