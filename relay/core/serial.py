"""Serial numbers: 16-bit sequence numbers and 32-bit timestamps as integers that never wrap.

An extended number is `cycle * 2**bits + value`. Each value is placed at the extended number
nearest to the highest one seen, so a wrap moves forward and a reordered packet moves back
(RFC 3550 appendix A.1, RFC 1982). Counting starts in cycle 1, so that packets from before the
first one still get positive numbers.

`SequenceGuard` tells ordinary movement from a restart: a jump by 3000 packets forward or 1024 back
is believed only when the next packet follows it in order.
"""

from __future__ import annotations

from enum import Enum

SEQUENCE_BITS = 16
TIMESTAMP_BITS = 32

MAX_DROPOUT = 3000
"""Packets a sequence may skip forward and still be the same stream (RFC 3550 A.1)."""

LATE_WINDOW = 1024
"""Packets behind the highest that still count as reordered or retransmitted (3 s of video)."""


def forward_distance(start: int, end: int, bits: int = SEQUENCE_BITS) -> int:
    """Steps from `start` forward to `end` modulo 2**bits: 0 … 2**bits - 1."""
    return (end - start) & ((1 << bits) - 1)


def signed_distance(start: int, end: int, bits: int = SEQUENCE_BITS) -> int:
    """Shortest way from `start` to `end`: negative when `end` is behind; half way is behind."""
    half = 1 << (bits - 1)
    return ((end - start + half) & ((1 << bits) - 1)) - half


def is_newer(value: int, than: int, bits: int = SEQUENCE_BITS) -> bool:
    """True when `value` lies ahead of `than` in serial arithmetic (RFC 1982)."""
    return 0 < forward_distance(than, value, bits) < 1 << (bits - 1)


class Unwrapper:
    """Extends numbers of `bits` bits.

    highest: the highest extended number seen, or None before the first.
    """

    __slots__ = ("_half", "_mask", "highest")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self.highest: int | None = None

    def peek(self, value: int) -> int:
        """The extended number of `value`, without moving `highest`."""
        highest = self.highest
        if highest is None:
            return value + self._mask + 1
        half = self._half
        return highest + ((value - highest + half) & self._mask) - half

    def unwrap(self, value: int) -> int:
        """The extended number of `value`; moves `highest` forward, never back."""
        extended = self.peek(value)
        if self.highest is None or extended > self.highest:
            self.highest = extended
        return extended

    def reset(self) -> None:
        """Forget everything: the next value starts again in cycle 1."""
        self.highest = None


class Step(Enum):
    """How a sequence number relates to its stream."""

    NEXT = "next"
    """Ahead of all others: in order, or after a gap that may still be filled."""
    LATE = "late"
    """Behind the highest: reordered, retransmitted or a duplicate."""
    SUSPECT = "suspect"
    """Far from the stream: a stray, or the first packet of a restart."""
    RESTART = "restart"
    """Second of two consecutive numbers far away from the stream: the sender began anew."""


# Python 3.11 looks a member up through the metaclass each time: not on the hot path.
_NEXT, _LATE, _SUSPECT, _RESTART = Step.NEXT, Step.LATE, Step.SUSPECT, Step.RESTART


class SequenceGuard:
    """Recognises restarts of a 16-bit sequence (RFC 3550 A.1).

    RFC 3550 allows a step back of 100 packets; here it is LATE_WINDOW, because a publisher without
    RTX retransmits on its own SSRC, and two such packets in a row must not look like a restart.
    """

    __slots__ = ("_expected_restart", "_highest")

    def __init__(self) -> None:
        self._highest: int | None = None
        self._expected_restart: int | None = None

    def classify(self, seq: int) -> Step:
        """Place `seq` (0 … 65535); on RESTART the guard already follows the new sequence."""
        if self._highest is None:
            self._highest = seq
            return _NEXT
        distance = signed_distance(self._highest, seq)
        if 0 < distance < MAX_DROPOUT:
            self._highest = seq
            self._expected_restart = None
            return _NEXT
        if -LATE_WINDOW < distance <= 0:
            return _LATE
        if seq == self._expected_restart:
            self._highest = seq
            self._expected_restart = None
            return _RESTART
        self._expected_restart = (seq + 1) & 0xFFFF
        return _SUSPECT
