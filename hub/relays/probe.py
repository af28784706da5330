"""Asks every relay for a sign of life over the way that viewers take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp

from hub.relays.registry import Relay, RelayRegistry

INTERVAL_S = 0.3
TIMEOUT_S = 0.5
HTTP = "http"


class Prober:
    """`run` until cancelled. One question to a relay at a time; a late answer is none."""

    def __init__(
        self, registry: RelayRegistry, http: aiohttp.ClientSession, clock: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._http = http
        self._clock = clock
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask them all, again and again."""
        try:
            while True:
                for relay in self._registry.relays():
                    if relay.id not in self._asking:
                        task = asyncio.create_task(self._ask(relay))
                        self._asking[relay.id] = task
                        task.add_done_callback(partial(self._answered, relay.id))
                await asyncio.sleep(INTERVAL_S)
        finally:
            for task in tuple(self._asking.values()):
                task.cancel()

    def _answered(self, relay_id: str, _: asyncio.Task[None]) -> None:
        del self._asking[relay_id]

    async def _ask(self, relay: Relay) -> None:
        url = f"{relay.hello.base_url.rstrip('/')}/healthz"
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.get(url, timeout=timeout, allow_redirects=False) as answer:
                await answer.read()
                if answer.status == 200:
                    self._registry.on_probe(relay, HTTP, self._clock())
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
