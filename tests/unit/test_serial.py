"""Extended numbers: wrap, reordering, restarts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.serial import (
    LATE_WINDOW,
    MAX_DROPOUT,
    SequenceGuard,
    Step,
    Unwrapper,
    forward_distance,
    is_newer,
    signed_distance,
)


@pytest.mark.parametrize(
    ("start", "end", "forward", "signed"),
    [
        (0, 1, 1, 1),
        (65535, 0, 1, 1),
        (0, 65535, 65535, -1),
        (10, 10, 0, 0),
        (0, 0x7FFF, 0x7FFF, 0x7FFF),
        (0, 0x8000, 0x8000, -0x8000),
    ],
)
def test_distances(start: int, end: int, forward: int, signed: int) -> None:
    assert forward_distance(start, end) == forward
    assert signed_distance(start, end) == signed


def test_newer_is_serial_arithmetic() -> None:
    assert is_newer(0, 65535)
    assert not is_newer(65535, 0)
    assert not is_newer(5, 5)
    assert is_newer(5, 0xFFFFFFF0, 32)


@pytest.mark.parametrize("bits", [16, 32])
@given(
    start=st.integers(0, 2**32 - 1),
    moves=st.lists(st.integers(-3000, 3000), max_size=200),
)
def test_unwrapping_follows_any_walk_within_half_the_range(
    bits: int, start: int, moves: list[int]
) -> None:
    modulus = 1 << bits
    unwrapper = Unwrapper(bits)
    true = start % modulus + modulus
    assert unwrapper.unwrap(true % modulus) == true
    highest = true
    for move in moves:
        value = highest + move
        assert unwrapper.peek(value % modulus) == value
        assert unwrapper.unwrap(value % modulus) == value
        highest = max(highest, value)
        assert unwrapper.highest == highest


def test_packets_from_before_the_first_stay_positive() -> None:
    unwrapper = Unwrapper(16)
    first = unwrapper.unwrap(0)
    assert unwrapper.unwrap(65535) == first - 1 > 0
    unwrapper.reset()
    assert unwrapper.unwrap(7) == 65536 + 7


def steps(*seqs: int) -> list[Step]:
    guard = SequenceGuard()
    return [guard.classify(seq) for seq in seqs]


def test_ordinary_movement() -> None:
    assert steps(65534, 65535, 1, 0, 1) == [Step.NEXT, Step.NEXT, Step.NEXT, Step.LATE, Step.LATE]


def test_dropout_below_the_limit_is_movement() -> None:
    assert steps(10, 10 + MAX_DROPOUT - 1)[-1] is Step.NEXT
    assert steps(10, 10 + MAX_DROPOUT)[-1] is Step.SUSPECT


def test_restart_needs_two_in_a_row() -> None:
    assert steps(10, 20000, 20001, 20002)[1:] == [Step.SUSPECT, Step.RESTART, Step.NEXT]
    assert steps(10, 20000, 30000, 11)[1:] == [Step.SUSPECT, Step.SUSPECT, Step.NEXT]
    assert steps(10, 20000, 11, 20001)[1:] == [Step.SUSPECT, Step.NEXT, Step.SUSPECT]


def test_two_retransmissions_in_a_row_are_no_restart() -> None:
    seq = 5000
    assert steps(seq, seq - 500, seq - 499) == [Step.NEXT, Step.LATE, Step.LATE]
    assert steps(seq, seq - LATE_WINDOW, seq - LATE_WINDOW + 1)[1:] == [Step.SUSPECT, Step.LATE]
