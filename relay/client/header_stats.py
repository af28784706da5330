"""Reception figures from clear RTP headers alone (sans-I/O): no decryption, no decoding.

Built for crowds: a packet that is next in sequence costs a few integer operations. What is
missing is kept by number, so that a late or repaired packet is told from a duplicate.
"""

from __future__ import annotations

from collections import OrderedDict

MAX_MISSING = 1024
"""Holes remembered per SSRC; older ones are lost for good."""
MAX_JUMP = 3000
"""A jump beyond this is a new stream (RFC 3550 appendix A.1), not that many losses."""
NACK_RETRY_MS = 60.0
NACK_TRIES = 5
NACK_MAX_AGE_MS = 1000.0


class HeaderStats:
    """One SSRC as a viewer sees it. Times are monotonic ms, timestamps 32-bit ticks."""

    __slots__ = (
        "_first_seq",
        "_last_transit",
        "_prior_expected",
        "_prior_received",
        "_restarts_expected",
        "bytes",
        "clock_rate",
        "duplicates",
        "first_ms",
        "frames",
        "highest_seq",
        "jitter_ticks",
        "last_frame_ms",
        "last_ms",
        "last_timestamp",
        "longest_frame_gap_ms",
        "missing",
        "out_of_order",
        "received",
        "repaired",
    )

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.received = 0
        self.bytes = 0
        self.frames = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.repaired = 0
        self.jitter_ticks = 0.0
        self.highest_seq = -1
        self.last_timestamp = -1
        self.first_ms = self.last_ms = self.last_frame_ms = 0.0
        self.longest_frame_gap_ms = 0.0
        self.missing: OrderedDict[int, list[float]] = OrderedDict()
        """Extended number → [seen missing at ms, last asked for at ms, times asked]."""
        self._first_seq = 0
        self._restarts_expected = 0
        self._last_transit: float | None = None
        self._prior_expected = 0
        self._prior_received = 0

    def on_packet(self, seq: int, timestamp: int, size: int, now_ms: float) -> None:
        """One packet: 16-bit `seq`, `size` bytes with header."""
        highest = self.highest_seq
        self.bytes += size
        self.last_ms = now_ms
        if (highest + 1) & 0xFFFF == seq and highest >= 0:
            self.highest_seq = highest + 1
            self.received += 1
        elif not self._on_odd_seq(seq, now_ms):
            return
        if timestamp != self.last_timestamp:
            self._on_frame(timestamp, now_ms)

    def on_repair(self, seq: int) -> bool:
        """An RTX packet brought the original `seq` (16 bits); True if it was missing."""
        extended = self._extend(seq)
        if self.missing.pop(extended, None) is None:
            return False
        self.received += 1
        self.repaired += 1
        return True

    @property
    def expected(self) -> int:
        """Packets that the sender has sent since the first one seen."""
        if self.highest_seq < 0:
            return 0
        return self._restarts_expected + self.highest_seq - self._first_seq + 1

    @property
    def lost(self) -> int:
        return max(0, self.expected - self.received)

    @property
    def jitter_ms(self) -> float:
        return self.jitter_ticks * 1000 / self.clock_rate

    def fraction_lost(self) -> int:
        """0 … 255 of 256 since the last call, for a receiver report."""
        expected = self.expected - self._prior_expected
        received = self.received - self._prior_received
        self._prior_expected, self._prior_received = self.expected, self.received
        lost = expected - received
        return 0 if expected <= 0 or lost <= 0 else min(255, lost * 256 // expected)

    def to_nack(self, now_ms: float) -> tuple[int, ...]:
        """Missing numbers to ask for now, 16 bits each, at most 64."""
        wanted: list[int] = []
        for seq, state in self.missing.items():
            if len(wanted) == 64:
                break
            if now_ms - state[0] > NACK_MAX_AGE_MS or state[2] >= NACK_TRIES:
                continue
            if now_ms - state[1] >= NACK_RETRY_MS:
                state[1] = now_ms
                state[2] += 1
                wanted.append(seq & 0xFFFF)
        return tuple(wanted)

    def _extend(self, seq: int) -> int:
        delta = (seq - self.highest_seq) & 0xFFFF
        return self.highest_seq + (delta if delta < 0x8000 else delta - 0x10000)

    def _on_odd_seq(self, seq: int, now_ms: float) -> bool:
        """Everything but the next number; False for a packet that brings nothing new."""
        if self.highest_seq < 0:
            # One cycle of headroom: packets before the first must not become negative.
            self.highest_seq = self._first_seq = seq + 0x10000
            self.first_ms = now_ms
            self.received = 1
            return True
        extended = self._extend(seq)
        if abs(extended - self.highest_seq) > MAX_JUMP:
            self._restart(seq)
            return True
        if extended > self.highest_seq:
            for hole in range(self.highest_seq + 1, extended):
                self.missing[hole] = [now_ms, float("-inf"), 0.0]
            while len(self.missing) > MAX_MISSING:
                self.missing.popitem(last=False)
            self.highest_seq = extended
            self.received += 1
            return True
        if self.missing.pop(extended, None) is not None:
            self.out_of_order += 1
            self.received += 1
        else:
            self.duplicates += 1
        return False

    def _restart(self, seq: int) -> None:
        """The sender began a new numbering: what went before is settled."""
        self._restarts_expected = self.expected
        self.missing.clear()
        self.highest_seq = self._first_seq = seq + 0x10000
        self.received += 1
        self._last_transit = None

    def _on_frame(self, timestamp: int, now_ms: float) -> None:
        """First packet of a frame: jitter (RFC 3550 section 6.4.1) once a frame, so that a
        sender's pacing within the frame is not taken for the network's."""
        if self.last_timestamp >= 0:
            if (timestamp - self.last_timestamp) & 0xFFFFFFFF >= 0x80000000:
                return
            gap = now_ms - self.last_frame_ms
            if gap > self.longest_frame_gap_ms:
                self.longest_frame_gap_ms = gap
        self.frames += 1
        self.last_timestamp = timestamp
        self.last_frame_ms = now_ms
        # Both wrap at 2^32 ticks; the difference of transits is small either way.
        transit = (now_ms * self.clock_rate / 1000 - timestamp) % 4294967296.0
        if self._last_transit is not None:
            change = abs(transit - self._last_transit)
            change = min(change, 4294967296.0 - change)
            self.jitter_ticks += (change - self.jitter_ticks) / 16
        self._last_transit = transit
