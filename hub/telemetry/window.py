"""What counters and gauges did in the last seconds: bounded by count and age."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

MAX_SAMPLES = 64


class CounterWindow:
    """Gains of growing counters over `span_s` seconds. Times: any monotonic seconds.

    A counter that falls has begun anew: what it has counted since is its gain.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._last: dict[str, float] = {}
        self._total: dict[str, float] = {}
        self._gains: deque[tuple[float, dict[str, float]]] = deque()

    def add(self, now_s: float, counters: Mapping[str, float]) -> None:
        """Take the counters' values at a moment; the first of each is only where it starts."""
        gains = {}
        for name, value in counters.items():
            before = self._last.get(name, value)
            if value != before:
                gains[name] = value - before if value > before else value
        self._last.update(counters)
        # What stood still needs no memory: most counters of a good line do.
        if gains:
            self._gains.append((now_s, gains))
            for name, gain in gains.items():
                self._total[name] = self._total.get(name, 0.0) + gain
            if len(self._gains) > MAX_SAMPLES:
                self._forget_oldest()

    def gain(self, name: str, now_s: float) -> float:
        """By how much a counter grew in the window."""
        while self._gains and now_s - self._gains[0][0] > self._span_s:
            self._forget_oldest()
        return self._total.get(name, 0.0)

    def ratio(self, part: str, whole: str, now_s: float) -> float | None:
        """Gain of `part` by gain of `whole`, None while `whole` stands still."""
        total = self.gain(whole, now_s)
        return self.gain(part, now_s) / total if total > 0 else None

    def _forget_oldest(self) -> None:
        _, gains = self._gains.popleft()
        if not self._gains:
            # A fresh start also drops what rounding has left.
            self._total.clear()
            return
        for name, gain in gains.items():
            self._total[name] = max(0.0, self._total[name] - gain)


class MeanWindow:
    """Mean of a gauge over `span_s` seconds."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=MAX_SAMPLES)

    def add(self, now_s: float, value: float) -> None:
        """Take a reading."""
        self._samples.append((now_s, value))

    def mean(self, now_s: float) -> float:
        """0 when there is no reading."""
        while self._samples and now_s - self._samples[0][0] > self._span_s:
            self._samples.popleft()
        if not self._samples:
            return 0.0
        return sum(value for _, value in self._samples) / len(self._samples)
