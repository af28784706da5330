"""From the sender's sequence numbers to those that viewers see: no holes where padding was.

A padding-only packet (a bandwidth probe) takes a number but carries nothing; viewers would ask
for it. Its number is closed up and all later ones move down by one. An inserted packet
(parameter sets before a key frame) moves all later ones up by one.

    sender   10 11 12(padding) 13 14 15(key frame, 1 packet inserted) 16
    viewers  10 11  –          12 13 14(inserted) 15                  16

The shift is a step function of the sender's number, so a packet that comes late gets the shift of
its own place, whatever happened since. Only the newest place may change: padding that arrives
after a later number went out keeps its own number (the caller fills it with an empty packet), and
nothing is inserted before a packet that comes late. So no two packets ever share a number.
"""

from __future__ import annotations

from bisect import bisect_right

from relay.core.serial import LATE_WINDOW


class SequenceMap:
    """All numbers are extended. highest: the highest sender's number placed or removed."""

    __slots__ = ("_shifts", "_starts", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._starts = [0]
        self._shifts = [0]

    def place(self, seq: int) -> int:
        """The viewers' number of `seq`, at most LATE_WINDOW behind the highest."""
        self.highest = max(self.highest, seq)
        if seq >= self._starts[-1]:
            return seq + self._shifts[-1]
        return seq + self._shifts[max(0, bisect_right(self._starts, seq) - 1)]

    def remove(self, seq: int) -> bool:
        """Close up the number of a padding-only packet.

        False when a later number has already gone out: the place must be filled instead.
        """
        if seq <= self.highest:
            return False
        self.highest = seq
        self._step(seq + 1, -1)
        return True

    def insert(self, seq: int) -> int | None:
        """A number for one more packet right before `seq`; None when `seq` comes late.

        To be called before `place(seq)`; repeated calls give consecutive numbers.
        """
        if seq <= self.highest:
            return None
        number = seq + self._shifts[-1]
        self._step(seq, 1)
        return number

    def _step(self, start: int, change: int) -> None:
        shift = self._shifts[-1] + change
        if self._starts[-1] == start:
            self._shifts[-1] = shift
            return
        self._starts.append(start)
        self._shifts.append(shift)
        if len(self._starts) > 2 * LATE_WINDOW:
            keep = max(0, bisect_right(self._starts, self.highest - LATE_WINDOW) - 1)
            del self._starts[:keep]
            del self._shifts[:keep]
