"""How late the event loop runs its timers: the first sign that a process is overloaded."""

from __future__ import annotations

from collections import deque

WINDOW = 600


class LoopLag:
    """The last minute of samples, milliseconds late; `total_ms` and `count` since start."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self.count = 0
        self.total_ms = 0.0

    def observe(self, late_ms: float) -> None:
        """A timer fired `late_ms` after its time."""
        late_ms = max(0.0, late_ms)
        self._samples.append(late_ms)
        self.count += 1
        self.total_ms += late_ms

    def recent(self) -> tuple[float, float]:
        """(median, worst) of the last minute, ms."""
        if not self._samples:
            return 0.0, 0.0
        ordered = sorted(self._samples)
        return ordered[len(ordered) // 2], ordered[-1]
