"""Token buckets by client."""

from __future__ import annotations

import pytest

from relay.signalling.rate_limit import MAX_CLIENTS, RateLimiter


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(rate=2, burst=3)
    assert [limiter.take("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", 0.0) == pytest.approx(0.5)
    assert limiter.take("a", 0.4) == pytest.approx(0.1)
    assert limiter.take("a", 0.5) == 0
    assert limiter.take("a", 0.5) == pytest.approx(0.5)


def test_refusals_cost_nothing() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    assert limiter.take("a", 0.0) == 0
    for _ in range(1000):
        assert limiter.take("a", 0.5) > 0
    assert limiter.take("a", 1.0) == 0


def test_rest_does_not_fill_over_the_burst() -> None:
    limiter = RateLimiter(rate=10, burst=2)
    limiter.take("a", 0.0)
    assert [limiter.take("a", 1e6) == 0 for _ in range(3)] == [True, True, False]


def test_clients_do_not_pay_for_each_other() -> None:
    limiter = RateLimiter(rate=1, burst=1)
    assert [limiter.take(f"10.0.0.{i}", 0.0) for i in range(63)] == [0] * 63


def test_memory_is_bounded_and_the_one_that_floods_is_remembered() -> None:
    limiter = RateLimiter(rate=0.001, burst=1)
    for number in range(MAX_CLIENTS + 100):
        limiter.take(f"c{number}", 0.0)
        limiter.take("flood", 0.0)
    assert limiter.take("flood", 0.0) > 0
    assert len(limiter._buckets) == MAX_CLIENTS
