"""The store of a single process."""

from __future__ import annotations

import time
from collections.abc import Callable


class MemoryStore:
    """Implements `hub.store.interface.Store`. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[str, float]] = {}

    async def put(self, key: str, value: str, ttl_s: float | None = None) -> None:
        """Set a key."""
        ends_s = float("inf") if ttl_s is None else self._clock() + ttl_s
        self._values[key] = (value, ends_s)

    async def get(self, key: str) -> str | None:
        """The value while it lives."""
        value, ends_s = self._values.get(key, ("", float("-inf")))
        if ends_s > self._clock():
            return value
        self._values.pop(key, None)
        return None

    async def delete(self, key: str) -> None:
        """Remove a key."""
        self._values.pop(key, None)

    async def scan(self, prefix: str) -> dict[str, str]:
        """Live keys by prefix."""
        now_s = self._clock()
        self._values = {k: v for k, v in self._values.items() if v[1] > now_s}
        return {k: v for k, (v, _) in self._values.items() if k.startswith(prefix)}
