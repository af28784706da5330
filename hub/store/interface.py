"""What the hub asks of a store. Media never waits for it."""

from __future__ import annotations

from typing import Protocol


class Store(Protocol):
    """Keys with a lifetime, and presence by lease."""

    async def put(self, key: str, value: str, ttl_s: float | None = None) -> None:
        """Set a key; it goes after `ttl_s` seconds if given."""

    async def get(self, key: str) -> str | None:
        """The value, None when absent or expired."""

    async def delete(self, key: str) -> None:
        """Remove a key; harmless when absent."""

    async def scan(self, prefix: str) -> dict[str, str]:
        """All live keys that begin with `prefix`."""
