"""wardcast and Chromium inside hosts."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.netns.hosts import Host
from tests.netns.processes import HostProcess, ProcessEnded

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
READY_TIMEOUT_S = 60.0


def wardcast(*arguments: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "hub.cli.main", *arguments]


@contextlib.asynccontextmanager
async def demo_in(
    host: Host, *arguments: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[dict[str, Any], HostProcess]]:
    """`wardcast demo --json` at the host's address: what it printed, and its process.

    It is stopped at the end if it still runs. Raises ProcessEnded with its words when it cannot
    start.
    """
    ports = ("--http-port", "0", "--media-port", "0", "--tls-port", "0")
    process = await host.spawn(
        wardcast("demo", "--json", "--host", host.address, *ports, *arguments), env
    )
    try:
        yield await process.json_line(READY_TIMEOUT_S), process
    finally:
        if process.running:
            await process.stop()


@contextlib.asynccontextmanager
async def watching_in(
    host: Host,
    url: str,
    tokens: Mapping[str, str],
    *arguments: str,
    viewers: int = 1,
    duration_s: float = 8.0,
) -> AsyncIterator[HostProcess]:
    """`wardcast watch --json` while it runs: a document a second, the last with `"final": true`.

    tokens: commune to view token; they never show in a command line.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(dict(tokens), file)
        file.flush()
        given = ("--tokens-file", file.name, "--viewers", str(viewers))
        yield await host.spawn(
            wardcast("watch", url, *given, "--duration", str(duration_s), "--json", *arguments)
        )


async def all_connected(watch: HostProcess, viewers: int) -> None:
    """Until so many viewers of a running watch have media. Raises ProcessEnded, TimeoutError."""
    while (await watch.json_line(READY_TIMEOUT_S))["connected"] < viewers:
        pass


async def final_figures(watch: HostProcess, timeout_s: float = 120.0) -> dict[str, Any]:
    """The last document, once it has ended. Raises ProcessEnded, TimeoutError."""
    lines = await watch.lines_to_end(timeout_s)
    if not lines:
        raise ProcessEnded(f"no figures: {watch.errors()}")
    document: dict[str, Any] = json.loads(lines[-1])
    return document


@contextlib.asynccontextmanager
async def chromium_in(
    host: Host, *flags: str, secure: Sequence[str] = ()
) -> AsyncIterator[Browser]:
    """Debian's Chromium in a host, driven from here over a pipe: its pages see the host's network.

    secure: origins over HTTP that may use camera and microphone all the same.
    """
    given = [*FLAGS, *flags]
    if secure:
        given.append(f"--unsafely-treat-insecure-origin-as-secure={','.join(secure)}")
    with tempfile.TemporaryDirectory(prefix="wardcast-") as folder:
        # Playwright's pipe is file descriptors 3 and 4, which `ip netns exec` hands on.
        program = Path(folder) / "chromium"
        program.write_text(f'#!/bin/sh\nexec ip netns exec {host.namespace} {CHROMIUM} "$@"\n')
        program.chmod(0o755)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program, headless=True, args=given
            )
            try:
                yield browser
            finally:
                await browser.close()
