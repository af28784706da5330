"""Cut a run of packets into trains of one segment size, for UDP GSO.

A train's segments must be equal, only the last may be shorter. Packets of a frame often differ by
a byte or two: RTP padding (RFC 3550 section 5.1) evens that out. Trains stay short, because users
report that long ones lose packets on Wi-Fi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_TRAIN = 8
MAX_PADDING_BYTES = 32
"""Padding per packet that a longer train is worth; a send costs more than this many bytes."""


@dataclass(frozen=True)
class TrainPlan:
    """counts: packets in each train, in order. paddings: RTP padding bytes of each packet."""

    counts: tuple[int, ...]
    paddings: tuple[int, ...]

    def only(self, kept: Sequence[int]) -> TrainPlan:
        """The plan for the packets at these indices, in order, each padded as before."""
        counts, first = list[int](), 0
        for count in self.counts:
            counts.append(sum(first <= i < first + count for i in kept))
            first += count
        return TrainPlan(
            tuple(count for count in counts if count), tuple(self.paddings[i] for i in kept)
        )


def plan_trains(lengths: Sequence[int]) -> TrainPlan:
    """Plan trains for packets of these lengths (bytes, headers included or not: all alike)."""
    counts: list[int] = []
    paddings: list[int] = []
    start = 0
    total = len(lengths)
    while start < total:
        end, size = _extend(lengths, start)
        for i in range(start, end):
            short = size - lengths[i]
            paddings.append(short if 0 < short <= MAX_PADDING_BYTES and i < end - 1 else 0)
        counts.append(end - start)
        start = end
    return TrainPlan(tuple(counts), tuple(paddings))


def _extend(lengths: Sequence[int], start: int) -> tuple[int, int]:
    """The longest train from `start`: (end, segment size)."""
    low = size = lengths[start]
    end = start + 1
    while end < len(lengths) and end - start < MAX_TRAIN:
        length = lengths[end]
        if max(size, length) - min(low, length) <= MAX_PADDING_BYTES:
            low, size = min(low, length), max(size, length)
            end += 1
        elif length < low:
            return end + 1, size
        else:
            break
    return end, size
