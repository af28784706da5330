"""How long packets wait on a viewer's line, from when they left and when they came.

Clocks differ by a constant that nobody knows: the shortest way seen lately stands for an empty
queue. What counts is the *standing* queue, the least wait in a stretch of time, as in RFC 8289: a
key frame makes a queue that goes by itself, and only one that never empties says that the line is
full.
"""

from __future__ import annotations

from collections import deque

STANDING_WINDOW_MS = 700.0
BASE_BUCKET_MS, BASE_BUCKETS = 2500.0, 4
"""The empty way is looked for over ten seconds: a route may change."""


class QueueDelay:
    """newest_ms: wait of the newest packet."""

    def __init__(self) -> None:
        self.newest_ms = 0.0
        self._base: deque[tuple[float, float]] = deque(maxlen=BASE_BUCKETS)
        """(when the bucket began, shortest way in it)"""
        self._recent: deque[tuple[float, float]] = deque()
        """(arrival, way), ways rising: the first is the least of the window."""
        self._since_ms: float | None = None
        self._last_ms = 0.0

    def on_packet(self, sent_ms: float, arrived_ms: float) -> None:
        """A packet came. sent_ms: our clock. arrived_ms: theirs, rising but for reordering."""
        if self._since_ms is None or arrived_ms - self._last_ms > STANDING_WINDOW_MS:
            self._since_ms = arrived_ms  # after a silence nothing is known of what stood in it
            self._recent.clear()
        self._last_ms = max(self._last_ms, arrived_ms)
        way_ms = arrived_ms - sent_ms
        if not self._base or arrived_ms - self._base[-1][0] >= BASE_BUCKET_MS:
            self._base.append((arrived_ms, way_ms))
        elif way_ms < self._base[-1][1]:
            self._base[-1] = (self._base[-1][0], way_ms)
        while self._recent and self._recent[-1][1] >= way_ms:
            self._recent.pop()
        self._recent.append((arrived_ms, way_ms))
        while self._recent[0][0] < self._last_ms - STANDING_WINDOW_MS:
            self._recent.popleft()
        self.newest_ms = way_ms - self._shortest_ms()

    def standing_ms(self, window_ms: float = STANDING_WINDOW_MS) -> float:
        """The least wait of the last `window_ms`, at most STANDING_WINDOW_MS; 0 until so long has
        been seen."""
        if self._since_ms is None or self._last_ms - self._since_ms < window_ms:
            return 0.0
        since_ms = self._last_ms - window_ms
        least = next(way_ms for at_ms, way_ms in self._recent if at_ms >= since_ms)
        return least - self._shortest_ms()

    def _shortest_ms(self) -> float:
        return min(way_ms for _, way_ms in self._base)
