"""Receiver side of transport-wide congestion control
(draft-holmer-rmcat-transport-wide-cc-extensions-01).

Arrivals are kept by extended transport sequence number for half a second. A feedback covers
everything from the first number not yet reported to the highest one seen; a packet that arrives
after its place was reported lost moves the window back, so that it is reported again with what
followed, as libwebrtc does.
"""

from __future__ import annotations

from relay.core.rtcp_feedback import REFERENCE_MS, TICK_MS, TransportFeedback
from relay.core.serial import SEQUENCE_BITS, Unwrapper

QUICK_INTERVAL_MS = 50.0
QUICK_PHASE_MS = 10_000.0
"""While a sender looks for its rate, its probes are answered sooner."""
FEEDBACK_INTERVAL_MS = 100.0
MAX_UNREPORTED = 150
"""Arrivals that trigger a feedback before its time."""
MAX_STATUSES = 400
"""Statuses in one feedback: stays under an MTU with two bytes of delta and a chunk each."""
KEEP_MS = 500.0
MAX_KEPT = 2000
MAX_GAP = 4000
"""A jump further than this is a sender that began anew."""

_TICKS_PER_REFERENCE = int(REFERENCE_MS / TICK_MS)


class TransportFeedbackBuilder:
    """Records arrivals and builds feedback.

    sender_ssrc: ours. received: packets recorded in total.
    """

    def __init__(self, sender_ssrc: int) -> None:
        self._sender_ssrc = sender_ssrc
        self._unwrapper = Unwrapper(SEQUENCE_BITS)
        self._arrivals: dict[int, float] = {}
        self._window_start: int | None = None
        self._unreported = 0
        self._due_ms = float("inf")
        self._last_sent_ms = float("-inf")
        self._feedback_count = 0
        self._media_ssrc = 0
        self._started_ms: float | None = None
        self.received = 0

    def record(self, transport_seq: int, media_ssrc: int, now_ms: float) -> None:
        """Note the arrival of a packet. transport_seq: 16 bits from the header extension."""
        highest = self._unwrapper.highest
        if highest is not None and abs(self._unwrapper.peek(transport_seq) - highest) > MAX_GAP:
            self._restart()
        seq = self._unwrapper.unwrap(transport_seq)
        if seq in self._arrivals:
            return
        if not self._unreported:
            self._forget_old(now_ms)
            self._due_ms = max(now_ms, self._last_sent_ms + self._interval_ms(now_ms))
        self._arrivals[seq] = now_ms
        self._media_ssrc = media_ssrc
        self._unreported += 1
        self.received += 1
        if self._window_start is None or seq < self._window_start:
            self._window_start = seq
        if self._unreported >= MAX_UNREPORTED:
            self._due_ms = min(self._due_ms, now_ms)
        if len(self._arrivals) > MAX_KEPT:
            self._forget_old(now_ms)

    def _interval_ms(self, now_ms: float) -> float:
        if self._started_ms is None:
            self._started_ms = now_ms
        quick = now_ms - self._started_ms < QUICK_PHASE_MS
        return QUICK_INTERVAL_MS if quick else FEEDBACK_INTERVAL_MS

    def poll(self, now_ms: float) -> list[TransportFeedback]:
        """Feedback that is due."""
        if now_ms < self._due_ms or self._window_start is None:
            return []
        end = self._unwrapper.highest or 0
        packets = []
        start = self._window_start
        while start <= end:
            received = (seq for seq in range(start, end + 1) if seq in self._arrivals)
            first = next(received, None)
            if first is None:
                break
            packet, start = self._build(start, end, self._arrivals[first])
            packets.append(packet)
        self._window_start = end + 1
        self._unreported = 0
        self._due_ms = float("inf")
        self._last_sent_ms = now_ms
        return packets

    def next_deadline_ms(self) -> float:
        """When `poll` has something; infinity while nothing is unreported."""
        return self._due_ms

    def _build(self, start: int, end: int, first_ms: float) -> tuple[TransportFeedback, int]:
        """One feedback from `start`, and the number that the next one starts with.

        first_ms: arrival of the first received packet in it, which anchors the reference time.
        """
        arrivals = self._arrivals
        reference = int(first_ms // REFERENCE_MS)
        previous = reference * _TICKS_PER_REFERENCE
        deltas: list[int | None] = []
        seq = start
        while seq <= end and len(deltas) < MAX_STATUSES:
            arrival_ms = arrivals.get(seq)
            if arrival_ms is None:
                deltas.append(None)
            else:
                ticks = round(arrival_ms / TICK_MS)
                if not -0x8000 <= ticks - previous <= 0x7FFF:
                    break
                deltas.append(ticks - previous)
                previous = ticks
            seq += 1
        packet = TransportFeedback(
            self._sender_ssrc,
            self._media_ssrc,
            start & 0xFFFF,
            (reference + 0x800000) % 0x1000000 - 0x800000,
            self._feedback_count & 0xFF,
            tuple(deltas),
        )
        self._feedback_count += 1
        return packet, seq

    def _forget_old(self, now_ms: float) -> None:
        """Drop reported arrivals by age, and any by count."""
        limit = now_ms - KEEP_MS
        start = self._window_start
        reported = [
            seq
            for seq, at_ms in self._arrivals.items()
            if at_ms < limit and (start is None or seq < start)
        ]
        for seq in reported:
            del self._arrivals[seq]
        while len(self._arrivals) > MAX_KEPT:
            del self._arrivals[next(iter(self._arrivals))]

    def _restart(self) -> None:
        self._unwrapper.reset()
        self._arrivals.clear()
        self._window_start = None
        self._unreported = 0
