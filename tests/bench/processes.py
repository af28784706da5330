"""Starting and ending the bench's child processes, each on its core."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
SERVER_CORE, LOAD_CORE = 0, 1


class BenchError(Exception):
    """A process of the bench did not do its part; the message says which and what it wrote."""


@dataclass(frozen=True)
class ServerUnderTest:
    """Where a started server is reached. publisher: arguments for tests.bench.publisher."""

    name: str
    pid: int
    api: str
    url: str
    publisher: tuple[str, ...]
    tokens: list[str] = field(default_factory=list)


def spawn(
    command: Sequence[str], core: int, log: IO[bytes], chatty: bool = False
) -> subprocess.Popen[bytes]:
    """Start a process that inherits `core` from the first instruction on.

    It does not outlive this one. chatty: its stdout is a log as well (a full pipe would stop it).
    """
    home = os.sched_getaffinity(0)
    if core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})
    tether = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    try:
        return subprocess.Popen(
            [*tether, *command],
            stdin=subprocess.DEVNULL,
            stdout=log if chatty else subprocess.PIPE,
            stderr=log,
            cwd=REPOSITORY,
        )
    finally:
        os.sched_setaffinity(0, home)


def end(process: subprocess.Popen[bytes], patience_s: float = 5.0) -> bytes:
    """SIGTERM, then SIGKILL; returns what was left on its stdout."""
    if process.poll() is None:
        process.terminate()
    try:
        rest, _ = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        rest, _ = process.communicate()
    return rest


@contextmanager
def running(
    command: Sequence[str], core: int, log: IO[bytes], chatty: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    process = spawn(command, core, log, chatty)
    try:
        yield process
    finally:
        end(process)


def read_json_line(process: subprocess.Popen[bytes], patience_s: float, who: str) -> dict[str, Any]:
    """The next line of a child's stdout as JSON. Raises BenchError when it does not come."""
    assert process.stdout is not None
    deadline = time.monotonic() + patience_s
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise BenchError(f"{who} wrote no line within {patience_s:.0f} s")
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            raise BenchError(f"{who} ended with status {process.wait()} before it was ready")
        line += piece
    found: dict[str, Any] = json.loads(line.splitlines()[0])
    return found


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]
