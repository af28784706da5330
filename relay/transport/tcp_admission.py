"""How many TCP connections may be open, and which must go, sans-I/O.

A connection is unnamed until a check over it has named one of our peers. Unnamed ones cost an
attacker nothing, so they are few: of one address a newcomer is refused, over all the oldest makes
room, so that a flood from many addresses leaves an honest viewer the moment that its first check
takes. Named ones are bounded per peer, and by address only so that no address takes everything.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

MAX_UNNAMED = 256
MAX_UNNAMED_PER_ADDRESS = 32
MAX_PER_ADDRESS = 1024
"""A whole commune may stand behind one address, and so may a proxy of the province."""
MAX_CONNECTIONS = 4096
MAX_PER_PEER = 8
"""One for each pair of addresses that a browser checks."""
UNNAMED_MS = 10_000.0
MAX_UNNAMED_FRAMES = 8
"""Packets that may come before the one that names a peer: checks of a session being replaced."""


class Admission:
    """Connections by number, each from a host. limit: of all together."""

    def __init__(self, limit: int = MAX_CONNECTIONS) -> None:
        self._limit = limit
        self._hosts: dict[int, str] = {}
        self._per_host: Counter[str] = Counter()
        self._unnamed: OrderedDict[int, str] = OrderedDict()
        self._unnamed_per_host: Counter[str] = Counter()

    @property
    def unnamed(self) -> int:
        return len(self._unnamed)

    @property
    def named(self) -> int:
        return len(self._hosts) - len(self._unnamed)

    def admits(self, host: str) -> bool:
        """Another connection from there may stay."""
        return (
            len(self._hosts) < self._limit
            and self._per_host[host] < MAX_PER_ADDRESS
            and self._unnamed_per_host[host] < MAX_UNNAMED_PER_ADDRESS
        )

    def enter(self, number: int, host: str) -> int | None:
        """A connection that was admitted. Returns the one that has to make room, if any."""
        self._hosts[number] = host
        self._per_host[host] += 1
        self._unnamed[number] = host
        self._unnamed_per_host[host] += 1
        return next(iter(self._unnamed)) if len(self._unnamed) > MAX_UNNAMED else None

    def name(self, number: int) -> None:
        """A check has named a peer over it."""
        host = self._unnamed.pop(number, None)
        if host is not None:
            _less(self._unnamed_per_host, host)

    def leave(self, number: int) -> None:
        """It is closed."""
        self.name(number)
        host = self._hosts.pop(number, None)
        if host is not None:
            _less(self._per_host, host)


def _less(counts: Counter[str], host: str) -> None:
    counts[host] -= 1
    if counts[host] <= 0:
        del counts[host]
