"""When missing packets are asked for, and when they are given up."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.nack_generator import (
    MAX_AGE_MS,
    MAX_MISSING,
    MAX_REQUESTS,
    REORDER_WAIT_MS,
    NackGenerator,
)

INFINITY = float("inf")


def with_gap(first: int = 100, end: int = 103, rtt_ms: float = 50.0) -> NackGenerator:
    nack = NackGenerator()
    nack.rtt_ms = rtt_ms
    nack.on_packet(first - 1, 0.0)
    nack.on_packet(end, 0.0)
    return nack


def test_a_gap_is_asked_for_after_reordering_had_its_chance() -> None:
    nack = with_gap()
    assert nack.next_deadline_ms() == REORDER_WAIT_MS
    assert nack.poll(REORDER_WAIT_MS - 0.1) == []
    assert nack.poll(REORDER_WAIT_MS) == [100, 101, 102]


def test_reordered_packets_are_never_asked_for() -> None:
    nack = with_gap()
    for seq in (102, 100, 101):
        assert nack.on_packet(seq, 5.0) is None
    assert nack.next_deadline_ms() == INFINITY


def test_requests_repeat_every_round_trip_until_they_are_spent() -> None:
    nack = with_gap(100, 101, rtt_ms=40.0)
    asked = []
    now = 0.0
    while (now := nack.next_deadline_ms()) < INFINITY:
        if nack.poll(now):
            asked.append(now)
    assert asked == [REORDER_WAIT_MS + 40.0 * n for n in range(MAX_REQUESTS)]
    assert nack.given_up == 1


def test_requests_end_after_a_second_on_a_slow_line() -> None:
    nack = with_gap(100, 101, rtt_ms=400.0)
    asked = 0
    while nack.next_deadline_ms() < INFINITY:
        asked += len(nack.poll(nack.next_deadline_ms()))
    assert asked == 3
    assert nack.given_up == 1


def test_a_short_round_trip_does_not_flood() -> None:
    nack = with_gap(100, 101, rtt_ms=0.5)
    nack.poll(REORDER_WAIT_MS)
    assert nack.next_deadline_ms() == REORDER_WAIT_MS + 20.0


def test_a_repair_gives_a_round_trip_sample_once() -> None:
    nack = with_gap(100, 102)
    nack.poll(12.0)
    assert nack.on_packet(100, 42.0) == 30.0
    nack.poll(62.0)
    assert nack.on_packet(101, 70.0) is None  # asked twice: unknown which was answered
    assert nack.on_packet(101, 71.0) is None


def test_a_key_frame_makes_older_gaps_moot() -> None:
    nack = with_gap(100, 103)
    nack.on_packet(106, 1.0)
    nack.on_keyframe(106)
    assert nack.poll(50.0) == [104, 105]  # may be its own parameter sets
    assert nack.given_up == 3


def test_a_huge_gap_is_not_repaired() -> None:
    nack = with_gap(100, 100 + MAX_MISSING + 1)
    assert nack.missing == 0
    assert nack.given_up == MAX_MISSING + 1


def test_reset_forgets() -> None:
    nack = with_gap()
    nack.reset()
    assert nack.on_packet(5, 0.0) is None
    assert nack.missing == 0


@given(
    seqs=st.lists(st.integers(70000, 71500), min_size=1, max_size=300),
    poll_every=st.integers(1, 20),
)
def test_bounded_and_only_for_what_is_truly_missing(seqs: list[int], poll_every: int) -> None:
    nack = NackGenerator()
    seen: set[int] = set()
    now = 0.0
    for index, seq in enumerate(seqs):
        now += 7.0
        nack.on_packet(seq, now)
        seen.add(seq)
        assert nack.missing <= MAX_MISSING
        if index % poll_every == 0:
            asked = nack.poll(now)
            assert asked == sorted(set(asked) - seen)
            assert all(min(seen) < number < max(seen) for number in asked)
            assert nack.next_deadline_ms() > now
    for _ in range(MAX_REQUESTS + 1):
        now += MAX_AGE_MS
        nack.poll(now)
    assert nack.missing == 0
