"""Backoff against the vectors that the viewer page is tested with too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.client.backoff import Backoff, backoff_delay_s

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures" / "backoff.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: f"{c['attempt']}-{c['fraction']}")
def test_vectors(case: dict[str, float]) -> None:
    delay = backoff_delay_s(
        int(case["attempt"]),
        case["fraction"],
        base_s=VECTORS["base_s"],
        cap_s=VECTORS["cap_s"],
    )
    assert delay == pytest.approx(case["delay_s"])


def test_waits_grow_and_start_over_after_success() -> None:
    backoff = Backoff(fraction=lambda: 0.5)
    assert [backoff.failed() for _ in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    backoff.succeeded()
    assert backoff.failed() == 0.25


def test_retry_after_is_a_floor_with_jitter_above_it() -> None:
    backoff = Backoff(fraction=lambda: 0.5)
    assert backoff.failed(retry_after_s=3.0) == 3.25
