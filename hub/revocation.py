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
from pathlib import Path

from hub.store.interface import Store
from relay.control.revoked_tokens import owner_of

PREFIX = "revoked:"
REVOCATION_FILE = "revoked.json"


class RevocationError(ValueError):
    """A file that cannot be used; to start without it would forget what was taken back."""


class Revocations:
    """Answers at once from memory. path: the file, None for a store that keeps things itself."""

    def __init__(self, store: Store, path: Path | None = None) -> None:
        self._store = store
        self._path = path
        self._until_ns: dict[str, int] = {} if path is None else _load(path)
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
        self._save()
        self.on_revoked(owner, now_ns)
        await self._store.put(PREFIX + owner, str(now_ns))

    async def refresh(self) -> None:
        """Take over what other processes put into the store."""
        for key, value in (await self._store.scan(PREFIX)).items():
            owner = key.removeprefix(PREFIX)
            self._until_ns[owner] = max(int(value), self._until_ns.get(owner, -1))

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
