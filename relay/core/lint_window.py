"""Sums over the last moments, in constant memory."""

from __future__ import annotations


class SlidingSum:
    """Sum of what was added within about `window_ms`, kept in `buckets` equal slices.

    Times may step back by less than the window; older additions count as of now.
    """

    __slots__ = ("_latest", "_slice_ms", "_slices")

    def __init__(self, window_ms: float, buckets: int = 20) -> None:
        self._slice_ms = window_ms / buckets
        self._slices = [0.0] * buckets
        self._latest = 0

    def add(self, now_ms: float, amount: float = 1.0) -> None:
        """Add `amount` at `now_ms`."""
        number = int(now_ms / self._slice_ms)
        if number > self._latest:
            self._advance(number)
        self._slices[self._latest % len(self._slices)] += amount

    def total(self, now_ms: float) -> float:
        """Sum over the window that ends at `now_ms`."""
        number = int(now_ms / self._slice_ms)
        if number > self._latest:
            self._advance(number)
        return sum(self._slices)

    def per_second(self, now_ms: float) -> float:
        """`total` over the time that the slices cover; too low before a whole window."""
        total = self.total(now_ms)
        in_slice_ms = max(now_ms - self._latest * self._slice_ms, 0.0)
        covered_ms = (len(self._slices) - 1) * self._slice_ms + in_slice_ms
        return total * 1000.0 / covered_ms

    def _advance(self, number: int) -> None:
        count = len(self._slices)
        for step in range(1, min(number - self._latest, count) + 1):
            self._slices[(self._latest + step) % count] = 0.0
        if number - self._latest > count:
            self._slices[:] = [0.0] * count
        self._latest = number
