"""Whether the server still takes what a publisher sends (sans-I/O).

A receiver of media answers it: transport feedback several times a second, or a report each second
or so. What it takes usually is learned from it, so that a slow reporter is not taken for a dead
one. Only while something is sent can there be an answer.
"""

from __future__ import annotations

MIN_PATIENCE_MS = 800.0
MAX_PATIENCE_MS = 5000.0
LEARNED_AFTER = 3
"""Answers seen before the patience is less than the largest."""
FORGET = 0.95
"""Per answer, of the slowest one."""


class ReceiverWatch:
    """One connection. Times are monotonic ms."""

    def __init__(self, now_ms: float) -> None:
        self.last_sign_ms = now_ms
        self._asked_ms: float | None = None
        self._slowest_ms = 0.0
        self._answers = 0

    def on_sent(self, now_ms: float) -> None:
        """Media has gone out."""
        if self._asked_ms is None:
            self._asked_ms = now_ms

    def on_sign(self, now_ms: float) -> None:
        """RTCP has come."""
        self.last_sign_ms = now_ms
        if self._asked_ms is not None:
            self._slowest_ms = max(now_ms - self._asked_ms, self._slowest_ms * FORGET)
            self._answers += 1
            self._asked_ms = None

    @property
    def patience_ms(self) -> float:
        """How long an answer may take."""
        if self._answers < LEARNED_AFTER:
            return MAX_PATIENCE_MS
        return min(MAX_PATIENCE_MS, max(MIN_PATIENCE_MS, 3 * self._slowest_ms))

    def is_lost(self, now_ms: float) -> bool:
        """An answer is overdue."""
        return self._asked_ms is not None and now_ms - self._asked_ms > self.patience_ms
