"""The store of a single process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hub.store.interface import Message
from hub.store.subscription import Subscription


class MemoryStore:
    """Implements `hub.store.interface.Store`. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._values: dict[str, tuple[str, float]] = {}
        self._owners: dict[str, str] = {}
        self._listening: list[tuple[frozenset[str], Subscription]] = []

    async def put(self, key: str, value: str, ttl_s: float | None = None) -> None:
        """Set a key."""
        self._set(key, value, ttl_s)
        self._owners.pop(key, None)

    async def get(self, key: str) -> str | None:
        """The value while it lives."""
        value, ends_s = self._values.get(key, ("", float("-inf")))
        if ends_s > self._clock():
            return value
        self._forget(key)
        return None

    async def delete(self, key: str) -> None:
        """Remove a key."""
        self._forget(key)

    async def scan(self, prefix: str) -> dict[str, str]:
        """Live keys by prefix."""
        now_s = self._clock()
        for key in [k for k, (_, ends_s) in self._values.items() if ends_s <= now_s]:
            self._forget(key)
        return {k: v for k, (v, _) in self._values.items() if k.startswith(prefix)}

    async def acquire(self, key: str, owner: str, value: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        if await self.get(key) is not None and self._owners.get(key) != owner:
            return False
        self._set(key, value, ttl_s)
        self._owners[key] = owner
        return True

    async def release(self, key: str, owner: str) -> bool:
        """Give a lease back."""
        if await self.get(key) is None or self._owners.get(key) != owner:
            return False
        self._forget(key)
        return True

    async def publish(self, channel: str, text: str) -> None:
        """Tell all who listen."""
        for channels, subscription in self._listening:
            if channel in channels:
                subscription.push(Message(channel, text))

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[Message]]:
        """Messages from now on."""
        entry = (frozenset(channels), Subscription())
        self._listening.append(entry)
        try:
            yield entry[1]
        finally:
            self._listening.remove(entry)

    async def close(self) -> None:
        """Subscriptions end."""
        for _, subscription in self._listening:
            subscription.close()

    def _set(self, key: str, value: str, ttl_s: float | None) -> None:
        ends_s = float("inf") if ttl_s is None else self._clock() + ttl_s
        self._values[key] = (value, ends_s)

    def _forget(self, key: str) -> None:
        self._values.pop(key, None)
        self._owners.pop(key, None)
