"""A subscriber's queue: bounded, and honest about what it dropped."""

from __future__ import annotations

import asyncio
from collections import deque

from hub.store.interface import GAP, MAX_WAITING, Message


class Subscription:
    """An async iterator of messages. dropped: how many a slow reader has missed."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.dropped = 0
        self._limit = limit
        self._waiting: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def push(self, message: Message) -> None:
        """Hand over a message."""
        if len(self._waiting) >= self._limit:
            # The two oldest make room for the news and for the gap that stands in their place.
            lost = (self._waiting.popleft(), self._waiting.popleft())
            self.dropped += sum(not message.is_gap for message in lost)
            self._waiting.appendleft(GAP)
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()
