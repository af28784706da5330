"""Which ticket made which session: a ticket is for one viewer. No I/O.

A POST that is repeated (a player that got no answer) takes the place of a session that never came
up; while the first one lives and is connected, a second viewer with the same ticket is refused.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_TICKETS = 8192
KEEP_S = 180.0
"""Longer than any ticket is good for."""


class TicketBook:
    """Ticket ids and the sessions that they made."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def session_of(self, ticket_id: str, now_s: float) -> str | None:
        """The session that a ticket made before."""
        while self._used:
            oldest = next(iter(self._used.values()))
            if now_s - oldest[1] <= KEEP_S:
                break
            self._used.popitem(last=False)
        used = self._used.get(ticket_id)
        return None if used is None else used[0]

    def note(self, ticket_id: str, session_id: str, now_s: float) -> None:
        """It has made this session."""
        self._used.pop(ticket_id, None)
        self._used[ticket_id] = (session_id, now_s)
        while len(self._used) > MAX_TICKETS:
            self._used.popitem(last=False)
