"""Server-sent events of the WHEP events extension: channels, buffers, resume. No I/O.

A player subscribes to some event types of its session; the node tells of events by stream or by
session. Each subscription has a bounded buffer from which a reader that comes back resumes.
`viewercount` changes with every join: a subscription hears of it once a second at most, and the
last value counts.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EVENT_TYPES = ("active", "inactive", "line", "reconnect", "viewercount")
MAX_BUFFERED = 64
MAX_SUBSCRIPTIONS_PER_SESSION = 4
VIEWER_COUNT_INTERVAL_S = 1.0
# What a subscription is primed with; the others are moments, not states.
_STATES = ("active", "viewercount")


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
    """Events of some types for one session. closed: the session has ended. clock: seconds."""

    def __init__(
        self,
        session_id: str,
        stream: str,
        types: frozenset[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.session_id = session_id
        self.stream = stream
        self.types = types
        self.closed = False
        self._buffer: deque[Event] = deque(maxlen=MAX_BUFFERED)
        self._number = 0
        self._changed = asyncio.Event()
        self._clock = clock
        self._was_active = False
        self._held_count: str | None = None
        self._count = ""
        self._count_due_s = clock()

    def push(self, name: str, data: Mapping[str, object]) -> None:
        """Add an event if its type was asked for; `inactive` is never the first (X3): a player
        takes a stream for inactive until it hears of `active`."""
        was_active = self._was_active
        if name in ("active", "inactive"):
            self._was_active = name == "active"
        if name not in self.types or (name == "inactive" and not was_active):
            return
        text = json.dumps(data, separators=(",", ":"))
        if name == "viewercount":
            self._held_count = text
            self._release_count()
        else:
            self._append(name, text)
        self._changed.set()

    def after(self, number: int) -> list[Event]:
        """Buffered events past `number`; all of them when `number` was never ours."""
        self._release_count()
        if number > self._number:
            number = 0
        return [event for event in self._buffer if event.number > number]

    def _append(self, name: str, text: str) -> None:
        self._number += 1
        self._buffer.append(Event(self._number, name, text))

    def _release_count(self) -> None:
        now_s = self._clock()
        text = self._held_count
        if text is None or now_s < self._count_due_s:
            return
        self._held_count = None
        if text == self._count:
            return
        self._count = text
        self._count_due_s = now_s + VIEWER_COUNT_INTERVAL_S
        for event in [event for event in self._buffer if event.name == "viewercount"]:
            self._buffer.remove(event)
        self._append("viewercount", text)

    def close(self) -> None:
        """The session is gone; readers end."""
        self.closed = True
        self._changed.set()

    async def wait(self, timeout_s: float) -> bool:
        """Until something happened or a held count is due; False when the time is over first."""
        due_s = max(0.0, self._count_due_s - self._clock())
        count_is_next = self._held_count is not None and due_s < timeout_s
        try:
            await asyncio.wait_for(self._changed.wait(), due_s if count_is_next else timeout_s)
        except TimeoutError:
            return count_is_next
        self._changed.clear()
        return True


class EventHub:
    """All subscriptions of a node. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_session: dict[str, list[Subscription]] = defaultdict(list)
        self._by_id: dict[str, Subscription] = {}
        self._state: dict[str, dict[str, Mapping[str, object]]] = defaultdict(dict)
        self._line: dict[str, Mapping[str, object]] = {}
        """By session: what it was last told of its line."""

    def subscribe(self, session_id: str, stream: str, types: frozenset[str]) -> Subscription:
        """A new subscription, primed with the stream's present state. The oldest of a session
        that has too many ends."""
        mine = self._by_session[session_id]
        if len(mine) >= MAX_SUBSCRIPTIONS_PER_SESSION:
            self.unsubscribe(mine[0])
        subscription = Subscription(session_id, stream, types, self._clock)
        self._by_session[session_id].append(subscription)
        self._by_id[subscription.id] = subscription
        for name, data in self._state[stream].items():
            subscription.push(name, data)
        if session_id in self._line:
            subscription.push("line", self._line[session_id])
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
        self._line.pop(session_id, None)
        for subscription in list(self._by_session.get(session_id, ())):
            self.unsubscribe(subscription)

    def stream_event(self, stream: str, name: str, data: Mapping[str, object]) -> None:
        """Tell every viewer of a stream."""
        state = self._state[stream]
        if name == "inactive":
            state.pop("active", None)
        elif name in _STATES:
            state[name] = data
        for subscription in list(self._by_id.values()):
            if subscription.stream == stream:
                subscription.push(name, data)

    def session_event(self, session_id: str, name: str, data: Mapping[str, object]) -> None:
        """Tell one viewer."""
        if name == "line":
            self._line[session_id] = data
        for subscription in self._by_session.get(session_id, ()):
            subscription.push(name, data)
