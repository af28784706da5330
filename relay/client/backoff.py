"""Exponential backoff with full jitter: 63 sites must not return in step after an outage.

`delay = random(0, min(cap, base * 2^attempt))`; the viewer page uses the same formula and both are
tested against tests/fixtures/backoff.json. A server's Retry-After is a floor under the delay.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

BASE_S = 0.5
CAP_S = 8.0


def backoff_delay_s(
    attempt: int, fraction: float, *, base_s: float = BASE_S, cap_s: float = CAP_S
) -> float:
    """Seconds to wait before try number `attempt` + 1.

    attempt: failures in a row before this one, from 0. fraction: in [0, 1), from a random source.
    """
    # 2**60 is far past any cap; the bound keeps the float from overflowing.
    return fraction * min(cap_s, base_s * 2.0 ** min(attempt, 60))


@dataclass
class Backoff:
    """Counts failures in a row and says how long to wait after each."""

    base_s: float = BASE_S
    cap_s: float = CAP_S
    fraction: Callable[[], float] = field(default=random.random)
    attempt: int = 0

    def failed(self, retry_after_s: float | None = None) -> float:
        """Note a failure; seconds to wait, never less than the server asked for.

        Jitter is added above Retry-After: the server told everyone the same number.
        """
        delay = backoff_delay_s(self.attempt, self.fraction(), base_s=self.base_s, cap_s=self.cap_s)
        self.attempt += 1
        return delay if retry_after_s is None else retry_after_s + delay

    def succeeded(self) -> None:
        """Media flows: the next failure starts from the shortest wait."""
        self.attempt = 0
