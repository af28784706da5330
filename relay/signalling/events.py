"""Server-sent events of the WHEP events extension: channels, buffers, resume. No I/O.

A player subscribes to some event types of its session; the node tells of events by stream or by
session. Each subscription has a bounded buffer from which a reader that comes back resumes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

EVENT_TYPES = ("active", "inactive", "layers", "reconnect", "viewercount")
MAX_BUFFERED = 64
MAX_SUBSCRIPTIONS_PER_SESSION = 4


@dataclass(frozen=True)
class Event:
    """One event. number: position in its subscription, the SSE id."""

    number: int
    name: str
    data: str

    def encode(self) -> bytes:
        """As a text/event-stream block."""
        return f"id: {self.number}\nevent: {self.name}\ndata: {self.data}\n\n".encode()


class Subscription:
    """Events of some types for one session. closed: the session has ended."""

    def __init__(self, session_id: str, stream: str, types: frozenset[str]) -> None:
        self.id = secrets.token_urlsafe(24)
        self.session_id = session_id
        self.stream = stream
        self.types = types
        self.closed = False
        self._buffer: deque[Event] = deque(maxlen=MAX_BUFFERED)
        self._number = 0
        self._changed = asyncio.Event()

    def push(self, name: str, data: Mapping[str, object]) -> None:
        """Add an event if its type was asked for; `inactive` is never the first (X3)."""
        if name not in self.types or (name == "inactive" and not self._buffer):
            return
        if name == "viewercount" and self._buffer and self._buffer[-1].name == name:
            self._buffer.pop()
        self._number += 1
        self._buffer.append(Event(self._number, name, json.dumps(data, separators=(",", ":"))))
        self._changed.set()

    def after(self, number: int) -> list[Event]:
        """Buffered events past `number`."""
        return [event for event in self._buffer if event.number > number]

    def close(self) -> None:
        """The session is gone; readers end."""
        self.closed = True
        self._changed.set()

    async def wait(self, timeout_s: float) -> bool:
        """Until something happens; False when the time is over first."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class EventHub:
    """All subscriptions of a node."""

    def __init__(self) -> None:
        self._by_session: dict[str, list[Subscription]] = defaultdict(list)
        self._by_id: dict[str, Subscription] = {}
        self._state: dict[str, dict[str, Mapping[str, object]]] = defaultdict(dict)

    def subscribe(self, session_id: str, stream: str, types: frozenset[str]) -> Subscription:
        """A new subscription, primed with the stream's present state. The oldest of a session
        that has too many ends."""
        mine = self._by_session[session_id]
        if len(mine) >= MAX_SUBSCRIPTIONS_PER_SESSION:
            self.unsubscribe(mine[0])
        subscription = Subscription(session_id, stream, types)
        self._by_session[session_id].append(subscription)
        self._by_id[subscription.id] = subscription
        for name, data in self._state[stream].items():
            subscription.push(name, data)
        return subscription

    def find(self, subscription_id: str) -> Subscription | None:
        """A live subscription."""
        return self._by_id.get(subscription_id)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End one subscription."""
        subscription.close()
        self._by_id.pop(subscription.id, None)
        mine = self._by_session.get(subscription.session_id, [])
        if subscription in mine:
            mine.remove(subscription)
        if not mine:
            self._by_session.pop(subscription.session_id, None)

    def session_closed(self, session_id: str) -> None:
        """Streams die with the session (X5)."""
        for subscription in list(self._by_session.get(session_id, ())):
            self.unsubscribe(subscription)

    def stream_event(self, stream: str, name: str, data: Mapping[str, object]) -> None:
        """Tell every viewer of a stream."""
        state = self._state[stream]
        if name == "inactive":
            state.pop("active", None)
        else:
            state[name] = data
        for subscription in list(self._by_id.values()):
            if subscription.stream == stream:
                subscription.push(name, data)

    def session_event(self, session_id: str, name: str, data: Mapping[str, object]) -> None:
        """Tell one viewer."""
        for subscription in self._by_session.get(session_id, ()):
            subscription.push(name, data)
