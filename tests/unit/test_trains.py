"""Trains for UDP GSO: equal segments, the last may be shorter, never longer than the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.trains import MAX_PADDING_BYTES, MAX_TRAIN, plan_trains


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [
        ([100], (1,)),
        ([1200] * 8, (8,)),
        ([1200] * 9, (8, 1)),
        ([1200, 1200, 300], (3,)),
        ([1200, 1199, 1201], (3,)),
        ([300, 1200], (1, 1)),
        ([1200, 300, 1200], (2, 1)),
        ([80, 1200, 1200, 500], (1, 3)),
    ],
)
def test_rows(lengths: list[int], counts: tuple[int, ...]) -> None:
    assert plan_trains(lengths).counts == counts


@given(st.lists(st.integers(1, 1400), min_size=1, max_size=60))
def test_every_plan_is_a_valid_gso_send(lengths: list[int]) -> None:
    plan = plan_trains(lengths)
    assert sum(plan.counts) == len(lengths)
    assert all(0 <= p <= MAX_PADDING_BYTES for p in plan.paddings)
    wire = [a + b for a, b in zip(lengths, plan.paddings, strict=True)]
    start = 0
    for count in plan.counts:
        assert 1 <= count <= MAX_TRAIN
        train = wire[start : start + count]
        assert all(size == train[0] for size in train[:-1])
        assert train[-1] <= train[0]
        start += count
