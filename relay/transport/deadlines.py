"""One timer for every peer: a heap of deadlines, looked at only when the first is due."""

from __future__ import annotations

import heapq
import math
from typing import Protocol


class Timed(Protocol):
    """Something that wants to be called at a time."""

    scheduled_ms: float

    def next_deadline_ms(self) -> float: ...

    def on_deadline(self, now_ms: float) -> None: ...


class Deadlines:
    """A deadline that moves later is left where it is and put right when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timed]] = []
        self._count = 0

    def update(self, timed: Timed) -> bool:
        """True if the first deadline of all has become earlier."""
        due_ms = timed.next_deadline_ms()
        if due_ms >= timed.scheduled_ms:
            return False
        timed.scheduled_ms = due_ms
        self._count += 1
        heapq.heappush(self._heap, (due_ms, self._count, timed))
        return self._heap[0][2] is timed

    def first_ms(self) -> float:
        return self._heap[0][0] if self._heap else math.inf

    def run(self, now_ms: float) -> None:
        """Call everything that is due."""
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, _, timed = heapq.heappop(self._heap)
            if due_ms != timed.scheduled_ms:
                continue
            timed.scheduled_ms = math.inf
            if timed.next_deadline_ms() <= now_ms:
                timed.on_deadline(now_ms)
            self.update(timed)
