"""Commands of the system, run to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class CommandError(RuntimeError):
    """A command that failed, with what it wrote to stderr."""


async def run(argv: Sequence[str], stdin: str = "") -> str:
    """Its stdout. Raises CommandError."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    if process.returncode != 0:
        raise CommandError(f"{' '.join(argv)}: {err.decode(errors='replace').strip()}\n{stdin}")
    return out.decode()


async def ip(namespace: str, *lines: str) -> None:
    """Lines of `ip -batch` in a namespace, "" is this process's own."""
    where = ["-n", namespace] if namespace else []
    await run(["ip", *where, "-batch", "-"], "\n".join(lines) + "\n")
