"""What a transport-wide feedback tells of each packet, beside what we know of its sending."""

from __future__ import annotations

from typing import NamedTuple

from relay.core.rtcp_feedback import REFERENCE_MS, TICK_MS, TransportFeedback
from relay.core.serial import Unwrapper
from relay.core.transport_sequence import SentPackets

_REFERENCE_BITS = 24


class Arrival(NamedTuple):
    """One packet: extended number, when it left (ours), when it came (theirs; None: it did not)."""

    seq: int
    sent_ms: float
    arrived_ms: float | None
    size_bytes: int


class FeedbackReader:
    """Joins feedback of one viewer with the log. Its reference time is unwrapped."""

    def __init__(self) -> None:
        self._reference = Unwrapper(_REFERENCE_BITS)

    def read(self, feedback: TransportFeedback, sent: SentPackets) -> list[Arrival]:
        """Packets that are in the log, in the order of their numbers."""
        at_ms = self._reference.unwrap(feedback.reference_time & 0xFFFFFF) * REFERENCE_MS
        arrivals: list[Arrival] = []
        left, sizes = sent.sent_ms.tolist(), sent.size_bytes.tolist()
        for i, delta in enumerate(feedback.deltas):
            if delta is not None:
                at_ms += delta * TICK_MS
            if left[i] == left[i]:  # not NaN
                arrived_ms = at_ms if delta is not None else None
                arrivals.append(Arrival(sent.first + i, left[i], arrived_ms, sizes[i]))
        return arrivals
