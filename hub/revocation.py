"""Tokens taken back: all of one scope and subject that were made up to a moment.

A token's id tells whose it is and when it was made (`hub.tokens`), so nobody keeps a list of tokens
and one that was issued by the command line is taken back too. What was taken back outlives the
process, for the signing key does: it is kept in a file, and in the store for other processes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hub.store.interface import Store, StoreUnavailable
from relay.control.revoked_tokens import owner_of

PREFIX = "revoked:"
CHANNEL = "revoked"
REVOCATION_FILE = "revoked.json"


class RevocationError(ValueError):
    """A file that cannot be used; to start without it would forget what was taken back."""


class Revocations:
    """Answers at once from memory. path: the file, None for a store that keeps things itself."""

    def __init__(self, store: Store, path: Path | None = None) -> None:
        self._store = store
        self._path = path
        self._until_ns: dict[str, int] = {} if path is None else _load(path)
        self._unwritten = set(self._until_ns)
        self.on_revoked: Callable[[str, int], None] = lambda owner, until_ns: None

    def is_revoked(self, token_id: str) -> bool:
        """Whether a token was taken back."""
        owner, made_ns = owner_of(token_id)
        return made_ns <= self._until_ns.get(owner, -1)

    def all(self) -> dict[str, int]:
        """ "<scope>.<subject>" to nanoseconds, for relays."""
        return dict(self._until_ns)

    async def revoke(self, scope: str, subject: str) -> None:
        """Take back all tokens that the subject has for this scope. Raises OSError."""
        owner, now_ns = f"{scope}.{subject}", time.time_ns()
        self._until_ns[owner] = now_ns
        self._unwritten.add(owner)
        self._save()
        self.on_revoked(owner, now_ns)
        with suppress(StoreUnavailable):  # Written when the store is back.
            await self.write_all()

    async def write_all(self) -> None:
        """Put what the store does not have yet there, and tell. Raises StoreUnavailable."""
        for owner in sorted(self._unwritten):
            await self._store.put(PREFIX + owner, str(self._until_ns[owner]))
            await self._store.publish(CHANNEL, owner)
            self._unwritten.discard(owner)

    async def refresh(self) -> None:
        """Take over what other processes put into the store, and give it what it has lost.

        Raises StoreUnavailable.
        """
        kept = await self._store.scan(PREFIX)
        for key, value in kept.items():
            owner = key.removeprefix(PREFIX)
            if value.isdigit() and int(value) > self._until_ns.get(owner, -1):
                self._until_ns[owner] = int(value)
                self.on_revoked(owner, int(value))
        self._unwritten |= {o for o in self._until_ns if PREFIX + o not in kept}

    def _save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(self._until_ns, indent=1), encoding="utf-8")
        os.replace(draft, self._path)


def _load(path: Path) -> dict[str, int]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RevocationError(f"{path}: cannot be read: {error}") from error
    if not isinstance(kept, dict) or not all(isinstance(ns, int) for ns in kept.values()):
        raise RevocationError(f"{path}: is not a list of revocations")
    return kept
