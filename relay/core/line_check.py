"""What a line check sends: empty packets at rising rates, on the SSRC of a picture (sans-I/O).

Packets are padding alone (RFC 3550 section 5.1), numbered without a hole, so that any receiver
counts what came and what was lost, and no decoder is asked to make sense of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.fanout import build_packet
from relay.core.header_layout import HeaderLayout
from relay.core.negotiation import MediaNegotiation
from relay.core.packet import MediaPacket

STREAM = "line-check"
"""Reserved name: `POST /whep/line-check` with any view token."""
STEPS_BPS = (300_000, 1_000_000, 2_000_000, 3_200_000)
STEP_MS = 1500.0
PADDING_BYTES = 255
WIRE_BYTES = PADDING_BYTES + 12 + 12 + 16 + 28
TICK_MS = 5.0
MAX_BURST_MS = 50.0
"""What a late tick catches up on at most: a check may not flood the line of its commune.
What was not sent then is missing: its timestamps tell a receiver."""
TOTAL_MS = STEP_MS * len(STEPS_BPS)


@dataclass(frozen=True)
class LineCheckPlan:
    """What is negotiated of the section that carries it."""

    ssrc: int
    payload_type: int
    layout: HeaderLayout

    @classmethod
    def of(cls, media: MediaNegotiation) -> LineCheckPlan:
        """Of the first codec of a negotiated section."""
        return cls(media.ssrcs[0], media.codecs[0].payload_type, HeaderLayout.of(media))


class LineCheckSender:
    """Clear RTP packets as they are due. packets: sent so far."""

    def __init__(self, plan: LineCheckPlan, now_ms: float) -> None:
        self.packets = 0
        self._plan = plan
        self._started_ms = self._paid_ms = now_ms
        self._owed_bytes = 0.0

    def over(self, now_ms: float) -> bool:
        """All steps are done."""
        return now_ms - self._started_ms >= TOTAL_MS

    def due(self, now_ms: float) -> list[bytes]:
        """Packets to be sent by now."""
        step = int((now_ms - self._started_ms) // STEP_MS)
        rate = STEPS_BPS[min(step, len(STEPS_BPS) - 1)]
        self._owed_bytes += rate * min(now_ms - self._paid_ms, MAX_BURST_MS) / 8000
        self._paid_ms = now_ms
        count = int(self._owed_bytes // WIRE_BYTES)
        self._owed_bytes -= count * WIRE_BYTES
        return [self._packet(now_ms) for _ in range(count)]

    def _packet(self, now_ms: float) -> bytes:
        plan = self._plan
        empty = MediaPacket(0, 0, b"", plan.payload_type, False, False, False, now_ms)
        wire, transport_at = build_packet(plan.layout, empty, PADDING_BYTES, now_ms)
        if transport_at:
            number = (self.packets & 0xFFFF).to_bytes(2, "big")
            wire = wire[:transport_at] + number + wire[transport_at + 2 :]
        seq = self.packets & 0xFFFF
        self.packets += 1
        return b"".join(
            (
                bytes((wire[0], plan.payload_type)),
                seq.to_bytes(2, "big"),
                (int(now_ms * 90) & 0xFFFFFFFF).to_bytes(4, "big"),
                plan.ssrc.to_bytes(4, "big"),
                wire[12:],
            )
        )
