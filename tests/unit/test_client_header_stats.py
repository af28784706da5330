"""Reception figures from headers, checked against a plain model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.client.header_stats import HeaderStats


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.booleans(), min_size=1, max_size=300),
    st.integers(0, 2**32 - 1),
)
def test_losses_are_counted_over_the_wrap(start: int, fate: list[bool], ts: int) -> None:
    fate = [True, *fate, True]
    stats = HeaderStats(90_000)
    for index, arrives in enumerate(fate):
        if arrives:
            stats.on_packet((start + index) & 0xFFFF, (ts + index * 3000) % 2**32, 100, index * 33)
    assert stats.received == sum(fate)
    assert stats.lost == len(fate) - sum(fate) == len(stats.missing)
    assert stats.expected == len(fate)
    assert stats.frames == sum(fate)


@given(st.integers(0, 0xFFFF), st.permutations(range(1, 40)))
def test_disorder_is_no_loss(start: int, order: list[int]) -> None:
    stats = HeaderStats(90_000)
    for index in [0, *order]:
        stats.on_packet((start + index) & 0xFFFF, 0, 100, 0.0)
    assert stats.received == 40
    assert stats.lost == 0
    assert stats.duplicates == 0


def test_duplicates_are_not_received_twice() -> None:
    stats = HeaderStats(90_000)
    for seq in (5, 6, 6, 5, 7):
        stats.on_packet(seq, 0, 100, 0.0)
    assert (stats.received, stats.duplicates, stats.lost) == (3, 2, 0)


def test_a_steady_stream_has_no_jitter_and_an_unsteady_one_has() -> None:
    steady, unsteady = HeaderStats(48_000), HeaderStats(48_000)
    for n in range(100):
        steady.on_packet(n, n * 960, 100, n * 20.0)
        unsteady.on_packet(n, n * 960, 100, n * 20.0 + (n % 2) * 4)
    assert steady.jitter_ms < 0.01
    assert 3.5 < unsteady.jitter_ms < 4.1


def test_a_new_numbering_is_not_a_loss() -> None:
    stats = HeaderStats(90_000)
    for seq in (1, 2, 3, 40_000, 40_001):
        stats.on_packet(seq, 0, 100, 0.0)
    assert (stats.expected, stats.received, stats.lost) == (5, 5, 0)


def test_nacks_are_asked_again_and_given_up() -> None:
    stats = HeaderStats(90_000)
    stats.on_packet(65534, 0, 100, 0.0)
    stats.on_packet(1, 0, 100, 0.0)
    assert stats.to_nack(0.0) == (65535, 0)
    assert stats.to_nack(10.0) == ()
    assert stats.on_repair(65535)
    assert not stats.on_repair(65535)
    asked = [stats.to_nack(float(t)) for t in range(60, 1000, 60)]
    assert [a for a in asked if a] == [(0,)] * 4
    assert stats.lost == 1


def test_fraction_lost_is_since_the_last_report() -> None:
    stats = HeaderStats(90_000)
    for seq in (0, 1, 2, 4):
        stats.on_packet(seq, 0, 100, 0.0)
    assert stats.fraction_lost() == 256 // 5
    for seq in range(5, 15):
        stats.on_packet(seq, 0, 100, 0.0)
    assert stats.fraction_lost() == 0
