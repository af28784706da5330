"""What the hub asks of a store. Media never waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class StoreUnavailable(Exception):
    """The store cannot be reached now. What was asked may or may not have been done."""


@dataclass(frozen=True)
class Message:
    """What somebody published. A message with an empty channel says that some may have been missed
    (the store was away, or the reader was too slow): read the keys again."""

    channel: str
    text: str

    @property
    def is_gap(self) -> bool:
        """Whether messages may be missing before the next one."""
        return not self.channel


GAP = Message("", "")
MAX_WAITING = 1024
"""Messages kept for a slow subscriber; then the oldest go and it is told of a gap."""


class Store(Protocol):
    """Keys with a lifetime, leases with an owner, and messages to whoever listens.

    Every verb raises StoreUnavailable, within about a second, when the store cannot be reached.
    """

    async def put(self, key: str, value: str, ttl_s: float | None = None) -> None:
        """Set a key; it goes after `ttl_s` seconds if given."""

    async def get(self, key: str) -> str | None:
        """The value, None when absent or expired."""

    async def delete(self, key: str) -> None:
        """Remove a key; harmless when absent."""

    async def scan(self, prefix: str) -> dict[str, str]:
        """All live keys that begin with `prefix`."""

    async def acquire(self, key: str, owner: str, value: str, ttl_s: float) -> bool:
        """Take or renew a lease and set its value; False while another owner has it, or the key
        was put without one. owner: any text but the empty one."""

    async def release(self, key: str, owner: str) -> bool:
        """Give a lease back; False, and nothing happens, if it is not this owner's."""

    async def publish(self, channel: str, text: str) -> None:
        """Tell all who listen now; nobody hears of it later."""

    def subscribe(self, *channels: str) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Messages from now on. Survives the store's absence: a GAP follows."""

    async def close(self) -> None:
        """Free everything; subscriptions end once what they hold is read."""
