"""The judgement of silence, on a clock of the test's own."""

from __future__ import annotations

import pytest

from relay.client.liveness import (
    BROKEN_SILENCE_MS,
    FIRST_MEDIA_MS,
    FIRST_SIGN_MS,
    SILENCE_MS,
    Liveness,
    Loss,
)


@pytest.mark.parametrize(
    ("media_ms", "sign_ms", "now_ms", "loss"),
    [
        (None, None, FIRST_SIGN_MS, None),
        (None, None, FIRST_SIGN_MS + 1, Loss.NO_MEDIA),
        (100.0, None, 100 + SILENCE_MS, None),
        (100.0, None, 101 + SILENCE_MS, Loss.SILENT),
        (100.0, 5000.0, 5000 + SILENCE_MS, None),
        (100.0, 5000.0, 5001 + SILENCE_MS, Loss.SILENT),
        (None, FIRST_MEDIA_MS, FIRST_MEDIA_MS, None),
        (None, FIRST_MEDIA_MS, FIRST_MEDIA_MS + 1, Loss.NO_MEDIA),
    ],
)
def test_verdicts(
    media_ms: float | None, sign_ms: float | None, now_ms: float, loss: Loss | None
) -> None:
    liveness = Liveness(0)
    if media_ms is not None:
        liveness.on_media(media_ms)
    if sign_ms is not None:
        liveness.on_sign(sign_ms)
    assert liveness.judge(now_ms) == loss


def test_a_node_that_says_its_publisher_is_away_is_stayed_with() -> None:
    liveness = Liveness(0)
    liveness.inactive = True
    liveness.on_sign(60_000)
    assert liveness.judge(60_300) is None


def test_broken_events_make_silence_count_sooner() -> None:
    liveness = Liveness(0)
    liveness.on_media(100)
    liveness.events_broke = True
    assert liveness.judge(100 + BROKEN_SILENCE_MS) is None
    assert liveness.judge(101 + BROKEN_SILENCE_MS) == Loss.BROKEN
    liveness.on_sign(500)
    assert liveness.judge(500 + BROKEN_SILENCE_MS) is None


def test_three_refusals_in_a_row_are_enough() -> None:
    liveness = Liveness(0)
    assert [liveness.on_refused() for _ in range(2)] == [False, False]
    liveness.on_sign(1)
    assert [liveness.on_refused() for _ in range(3)] == [False, False, True]
