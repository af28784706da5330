"""The operator's picture as values with a version each: who asks again gets what changed since.

There is no queue: a reader that is slow or comes back skips to the newest values.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]


class Board:
    """Named JSON values. id: of this board's life; versions of another mean nothing here."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(4)
        self.version = 0
        self.closed = False
        self._values: dict[str, tuple[int, Json]] = {}
        self._changed = asyncio.Event()

    def publish(self, values: Mapping[str, Json]) -> None:
        """Take new values; readers wake if any differs from before."""
        changed = {k: v for k, v in values.items() if self.get(k) != v}
        if not changed:
            return
        self.version += 1
        for key, value in changed.items():
            self._values[key] = (self.version, value)
        self._wake()

    def get(self, key: str) -> Json | None:
        """The value of a name."""
        entry = self._values.get(key)
        return None if entry is None else entry[1]

    def since(self, version: int, keys: Iterable[str]) -> list[tuple[str, Json]]:
        """Those of `keys` that changed after `version`."""
        found = ((key, self._values.get(key)) for key in keys)
        return [(key, entry[1]) for key, entry in found if entry is not None and entry[0] > version]

    async def wait_beyond(self, version: int, timeout_s: float) -> bool:
        """Until there is a newer version or the board closes; False when the time is over first."""
        while self.version <= version and not self.closed:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout_s)
            except TimeoutError:
                return False
        return True

    def close(self) -> None:
        """Nothing will change any more; readers end."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()
