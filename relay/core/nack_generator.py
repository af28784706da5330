"""Which packets of a source to ask for again (RFC 4585 section 6.2.1).

A gap opens an entry per missing number. It is first asked for after a short wait that lets
reordering settle, then once per round trip, until it comes, ten requests are spent or a second
has passed. Numbers before a key frame are given up: a decoder starts over there.
"""

from __future__ import annotations

from dataclasses import dataclass

REORDER_WAIT_MS = 12.0
"""Patience with reordering before the first request."""
MIN_RETRY_MS = 20.0
DEFAULT_RTT_MS = 100.0
MAX_REQUESTS = 10
MAX_AGE_MS = 1000.0
MAX_MISSING = 512


@dataclass(slots=True)
class _Missing:
    since_ms: float
    due_ms: float
    requests: int = 0
    requested_ms: float = 0.0


class NackGenerator:
    """Sequence numbers are extended ones of the source, as the sender numbered them.

    rtt_ms: the retry interval follows it. given_up: numbers that were never repaired.
    """

    def __init__(self) -> None:
        self.rtt_ms = DEFAULT_RTT_MS
        self.given_up = 0
        self._highest: int | None = None
        self._missing: dict[int, _Missing] = {}

    @property
    def missing(self) -> int:
        """How many numbers are being waited for."""
        return len(self._missing)

    def is_missing(self, seq: int) -> bool:
        """True while `seq` is being waited for."""
        return seq in self._missing

    def on_packet(self, seq: int, now_ms: float) -> float | None:
        """Note an arrival; opens entries for a gap and closes that of a repair.

        Returns milliseconds since the single request that this packet answers, a round-trip
        sample, else None (Karn: after several requests it is unknown which was answered).
        """
        if self._highest is None:
            self._highest = seq
        elif seq > self._highest:
            if seq > self._highest + 1:
                self._open_gap(self._highest + 1, seq, now_ms)
            self._highest = seq
        else:
            entry = self._missing.pop(seq, None)
            if entry is not None and entry.requests == 1:
                return now_ms - entry.requested_ms
        return None

    def on_keyframe(self, seq: int) -> None:
        """Give up what is older than the key frame that starts at `seq`.

        A gap right before it stays wanted: it may hold the key frame's own parameter sets.
        """
        first_kept = seq
        while first_kept - 1 in self._missing:
            first_kept -= 1
        stale = [number for number in self._missing if number < first_kept]
        for number in stale:
            del self._missing[number]
        self.given_up += len(stale)

    def reset(self) -> None:
        """The stream jumped: forget everything that was missing."""
        self.given_up += len(self._missing)
        self._missing.clear()
        self._highest = None

    def poll(self, now_ms: float) -> list[int]:
        """Numbers to ask for now, ascending."""
        due: list[int] = []
        retry_ms = max(self.rtt_ms, MIN_RETRY_MS)
        for seq in list(self._missing):
            entry = self._missing[seq]
            if entry.due_ms > now_ms:
                continue
            if entry.requests >= MAX_REQUESTS or now_ms - entry.since_ms >= MAX_AGE_MS:
                del self._missing[seq]
                self.given_up += 1
                continue
            entry.requests += 1
            entry.requested_ms = now_ms
            entry.due_ms = now_ms + retry_ms
            due.append(seq)
        due.sort()
        return due

    def next_deadline_ms(self) -> float:
        """When `poll` has something to do; infinity when nothing is missing."""
        return min((entry.due_ms for entry in self._missing.values()), default=float("inf"))

    def _open_gap(self, first: int, end: int, now_ms: float) -> None:
        if end - first > MAX_MISSING:
            # Too much to repair: the caller sees the hole and wants a key frame anyway.
            self.given_up += len(self._missing) + end - first
            self._missing.clear()
            return
        overflow = len(self._missing) + end - first - MAX_MISSING
        if overflow > 0:
            for seq in sorted(self._missing)[:overflow]:
                del self._missing[seq]
            self.given_up += overflow
        for seq in range(first, end):
            self._missing[seq] = _Missing(now_ms, now_ms + REORDER_WAIT_MS)
