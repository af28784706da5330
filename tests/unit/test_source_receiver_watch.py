"""Whether the server still takes what a publisher sends."""

from __future__ import annotations

from hub.source.receiver_watch import MAX_PATIENCE_MS, MIN_PATIENCE_MS, ReceiverWatch


def answered_every(interval_ms: float, times: int) -> ReceiverWatch:
    watch = ReceiverWatch(0)
    for turn in range(times):
        watch.on_sent(turn * interval_ms)
        watch.on_sign((turn + 1) * interval_ms)
    return watch


def test_a_receiver_that_answers_often_is_missed_soon() -> None:
    watch = answered_every(100, 20)
    watch.on_sent(2000)
    watch.on_sent(2700)
    assert not watch.is_lost(2000 + MIN_PATIENCE_MS)
    assert watch.is_lost(2001 + MIN_PATIENCE_MS)
    watch.on_sign(2801)
    assert not watch.is_lost(3000)
    assert watch.last_sign_ms == 2801


def test_a_slow_reporter_is_given_its_time() -> None:
    watch = answered_every(1000, 5)
    assert watch.patience_ms == 3000
    watch = answered_every(4000, 5)
    assert watch.patience_ms == MAX_PATIENCE_MS


def test_nothing_is_expected_before_the_first_answers_or_without_sending() -> None:
    watch = ReceiverWatch(0)
    assert not watch.is_lost(60_000)
    watch.on_sent(60_000)
    assert not watch.is_lost(60_000 + MAX_PATIENCE_MS)
    assert watch.is_lost(60_001 + MAX_PATIENCE_MS)


def test_a_stall_of_the_past_is_forgotten() -> None:
    watch = answered_every(1500, 3)
    for turn in range(60):
        watch.on_sent(10_000 + turn * 100)
        watch.on_sign(10_100 + turn * 100)
    assert watch.patience_ms == MIN_PATIENCE_MS
