"""Small statistics of the bench; empty input gives NaN, which the report prints as a dash."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` per cent of the values lie (linear between neighbours)."""
    if not len(values):
        return float("nan")
    return float(np.percentile(np.asarray(values, np.float64), share))


def spread(values_ns: Sequence[int]) -> dict[str, float]:
    """p50, p95, p99 and maximum in milliseconds of a list of nanoseconds, and how many."""
    milliseconds = [value / 1e6 for value in values_ns]
    return {
        "p50": percentile(milliseconds, 50),
        "p95": percentile(milliseconds, 95),
        "p99": percentile(milliseconds, 99),
        "max": max(milliseconds, default=float("nan")),
        "count": len(milliseconds),
    }


def evenly_spaced(count: int, total: int) -> list[int]:
    """Up to `count` indices of 0..total-1, always the first and the last."""
    if total <= count:
        return list(range(total))
    return sorted({round(i * (total - 1) / (count - 1)) for i in range(count)})
