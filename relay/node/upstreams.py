"""Where a relay may pull from, in order; the hub's directory changes it while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Upstreams:
    """Base URLs, best first. `changed` wakes whoever waits for another one."""

    def __init__(self, urls: Sequence[str] = ()) -> None:
        self.urls = tuple(urls)
        self._changed = asyncio.Event()

    def set(self, urls: Sequence[str]) -> None:
        """Take a new list."""
        if tuple(urls) != self.urls:
            self.urls = tuple(urls)
            waiting, self._changed = self._changed, asyncio.Event()
            waiting.set()

    async def changed(self) -> None:
        """Until the list changes."""
        await self._changed.wait()

    def after(self, failed: str) -> list[str]:
        """All of them, the one that just failed last."""
        return sorted(self.urls, key=lambda url: url == failed)
