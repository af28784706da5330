"""Tokens taken back before their time, by token_id."""

from __future__ import annotations

from hub.store.interface import Store

PREFIX = "revoked:"


class Revocations:
    """Revoked token ids: kept in the store, mirrored in memory so that a check never waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ids: set[str] = set()

    def is_revoked(self, token_id: str) -> bool:
        """Whether a token was taken back."""
        return token_id in self._ids

    async def revoke(self, token_id: str, ttl_s: float) -> None:
        """Take a token back; `ttl_s`: how long it would still be good for."""
        self._ids.add(token_id)
        await self._store.put(PREFIX + token_id, "1", ttl_s)

    async def refresh(self) -> None:
        """Read the store: what other processes revoked, without what has expired."""
        live = await self._store.scan(PREFIX)
        self._ids = {key.removeprefix(PREFIX) for key in live}
