"""`wardcast demo --json` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 10


@contextlib.asynccontextmanager
async def running_demo(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Yields what the demo printed; stops it as Ctrl-C would."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli.main", "demo", "--json"),
        *("--host", "127.0.0.1", "--http-port", "0", "--media-port", "0", "--tls-port", "0"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_TIMEOUT_S)
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
