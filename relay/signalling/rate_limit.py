"""Token buckets by client: a flood is refused, a province that joins at once is not."""

from __future__ import annotations

from collections import OrderedDict

MAX_CLIENTS = 4096


class RateLimiter:
    """rate: requests a second that a client may go on making; burst: how many at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now_s: float) -> float:
        """0 when the request may pass, else the seconds to wait."""
        level, then_s = self._buckets.get(client, (self._burst, now_s))
        level = min(self._burst, level + (now_s - then_s) * self._rate)
        wait_s = 0.0 if level >= 1 else (1 - level) / self._rate
        self._buckets[client] = (level - 1 if wait_s == 0.0 else level, now_s)
        self._buckets.move_to_end(client)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return wait_s
