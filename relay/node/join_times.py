"""How long viewers took to join: from their POST to the first media sent, as a histogram."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

BUCKETS_MS = (10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0)


class JoinTimes:
    """Cumulative buckets for Prometheus and the last samples for a summary."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.total_ms = 0.0
        self._recent: deque[float] = deque(maxlen=512)

    def observe(self, join_ms: float) -> None:
        """One viewer joined."""
        self.counts[bisect_left(BUCKETS_MS, join_ms)] += 1
        self.total_ms += join_ms
        self._recent.append(join_ms)

    def recent_p95_ms(self) -> float | None:
        """95th percentile of the last 512 joins, None without any."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
