"""Answer NACKs from the shared history (RFC 4585 section 6.2.1, RFC 4588).

With RTX the packet travels in the repair stream; without it the very same packet is sent again.
A repair that is still on its way is not sent twice, nothing is sent more than a few times, and a
viewer's repairs have a budget: a lossy line must not eat the relay, and a line that loses because
it is full must not be filled with repairs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from relay.core.drops import DropReason
from relay.core.fanout import build_packet
from relay.core.lanes import Lane, LaneTable, Splice
from relay.core.packet import MediaPacket
from relay.core.transport_sequence import TransportSequence
from relay.core.vp8_numbers import UNMOVED, renumbered

MIN_REPEAT_MS = 20.0
REMEMBERED = 512
BUDGET_BPS = 1_500_000.0
BUDGET_BURST_BYTES = 150_000.0
BURST_S, MIN_BURST_BYTES = 0.8, 8_000.0
MAX_REPEATS = 8
MAX_SEQS_PER_NACK = 256
PADDING_BYTES = 255


@dataclass(slots=True)
class RepairCounters:
    """nacked: sequence numbers asked for. sent, bytes: repairs sent."""

    nacked: int = 0
    sent: int = 0
    bytes: int = 0


class Retransmitter:
    """Repairs of one lane."""

    def __init__(self, lane: Lane, table: LaneTable, transport: TransportSequence) -> None:
        self._lane = lane
        self._transport = transport
        self._table = table
        self._sent: OrderedDict[int, tuple[float, int]] = OrderedDict()
        """By sequence number: when it was repaired last, and how often."""
        self.budget_bps = BUDGET_BPS
        self.copies = 1
        """How often each repair is sent: on a line that loses much, repairs are lost too."""
        self.queue_ms = 0.0
        """What waits on the viewer's line: a repair comes so much later."""
        self._budget_bytes = BUDGET_BURST_BYTES
        self._budget_ms: float | None = None
        self.counters = RepairCounters()
        self.drops: Counter[DropReason] = Counter()

    def on_nack(self, seqs: Sequence[int], rtt_ms: float, now_ms: float) -> list[bytes]:
        """Clear RTP packets that answer a NACK for these 16-bit sequence numbers."""
        self._refill(now_ms)
        repairs: list[bytes] = []
        copies: list[int] = []
        last = int(self._table.last_seq[self._lane.index])
        for seq16 in seqs[:MAX_SEQS_PER_NACK]:
            self.counters.nacked += 1
            output_seq = last - ((last - seq16) & 0xFFFF)
            repair = self._repair(output_seq, rtt_ms, now_ms)
            if repair is not None:
                repairs.append(repair)
                if self.copies > 1:
                    copies.append(output_seq)
        # Behind all others: losses come in runs.
        repairs += [c for seq in copies if (c := self._copy(seq, now_ms)) is not None]
        return repairs

    def padding(self, count: int, now_ms: float) -> list[bytes]:
        """Packets of the repair stream that carry nothing (RFC 3550 section 5.1), to probe a line;
        none where there is no repair stream."""
        lane, splice = self._lane, self._lane.current
        codecs = (c.rtx_payload_type for c in lane.codecs if c.rtx_payload_type is not None)
        payload_type = splice.rtx_payload_type if splice is not None else next(codecs, None)
        if lane.rtx_ssrc is None or payload_type is None:
            return []
        timestamp = int(self._table.last_ts[lane.index]) & 0xFFFFFFFF
        empty = MediaPacket(0, 0, b"", payload_type, False, False, False, now_ms)
        packets: list[bytes] = []
        for _ in range(count):
            wire, transport_at = build_packet(lane.layout, empty, PADDING_BYTES, now_ms)
            if transport_at:
                number = self._transport.take_one(lane.peer_index, len(wire), now_ms)
                wire = wire[:transport_at] + number.to_bytes(2, "big") + wire[transport_at + 2 :]
            lane.rtx_seq += 1
            packets.append(
                b"".join(
                    (
                        bytes((wire[0], payload_type)),
                        (lane.rtx_seq & 0xFFFF).to_bytes(2, "big"),
                        timestamp.to_bytes(4, "big"),
                        lane.rtx_ssrc.to_bytes(4, "big"),
                        wire[12:],
                    )
                )
            )
        return packets

    def _repair(self, output_seq: int, rtt_ms: float, now_ms: float) -> bytes | None:
        sent_ms, times = self._sent.get(output_seq, (float("-inf"), 0))
        on_its_way_ms = max(MIN_REPEAT_MS, 0.8 * rtt_ms + self.queue_ms)
        if now_ms - sent_ms < on_its_way_ms or times >= MAX_REPEATS:
            self.drops[DropReason.NACK_SUPPRESSED] += 1
            return None
        splice = self._lane.splice_of(output_seq)
        packet = (
            splice.source.history.get(splice.source_seq(output_seq)) if splice is not None else None
        )
        if splice is None or packet is None:
            self.drops[DropReason.NACK_NOT_IN_HISTORY] += 1
            return None
        seen = _as_seen(splice, packet)
        if seen is None:
            self.drops[DropReason.NACK_NOT_IN_HISTORY] += 1
            return None
        packet = seen
        if len(packet.payload) > self._budget_bytes:
            self.drops[DropReason.RATE_LIMITED] += 1
            return None
        wire = self._write(splice, packet, output_seq, now_ms)
        if wire is None:
            self.drops[DropReason.NACK_NOT_IN_HISTORY] += 1
            return None
        self._note(output_seq, len(wire), now_ms)
        return wire

    def _copy(self, output_seq: int, now_ms: float) -> bytes | None:
        """A repair that has just been sent, once more; None where it would be byte for byte the
        same packet, or beyond the budget."""
        splice = self._lane.splice_of(output_seq)
        if splice is None or self._lane.rtx_ssrc is None:
            return None
        packet = splice.source.history.get(splice.source_seq(output_seq))
        seen = None if packet is None else _as_seen(splice, packet)
        if seen is None or len(seen.payload) > self._budget_bytes:
            return None
        wire = self._write(splice, seen, output_seq, now_ms)
        if wire is not None:
            self._budget_bytes -= len(wire)
            self.counters.bytes += len(wire)
        return wire

    def _write(
        self, splice: Splice, packet: MediaPacket, output_seq: int, now_ms: float
    ) -> bytes | None:
        lane = self._lane
        if lane.rtx_ssrc is not None and splice.rtx_payload_type is not None:
            wire, transport_at = build_packet(lane.layout, packet, 0, now_ms)
            if transport_at:
                number = self._transport.take_one(lane.peer_index, len(wire) + 2, now_ms)
                wire = wire[:transport_at] + number.to_bytes(2, "big") + wire[transport_at + 2 :]
            split = len(wire) - len(packet.payload)
            original = (output_seq & 0xFFFF).to_bytes(2, "big")
            wire = wire[:split] + original + wire[split:]
            lane.rtx_seq += 1
            return self._number(
                wire, splice.rtx_payload_type, lane.rtx_seq, splice, packet, lane.rtx_ssrc
            )
        if packet.seq <= splice.fast_last_seq:
            return None
        padding = splice.source.paddings[packet.seq & (len(splice.source.paddings) - 1)]
        padding = 0 if splice.voice is not None else padding
        wire, transport_at = build_packet(lane.layout, packet, padding, packet.arrival_ms)
        if transport_at:
            return None
        return self._number(wire, splice.payload_type, output_seq, splice, packet, lane.ssrc)

    @staticmethod
    def _number(
        wire: bytes, payload_type: int, seq: int, splice: Splice, packet: MediaPacket, ssrc: int
    ) -> bytes:
        timestamp = splice.timestamp(packet.timestamp) & 0xFFFFFFFF
        return b"".join(
            (
                wire[:1],
                bytes((wire[1] | payload_type,)),
                (seq & 0xFFFF).to_bytes(2, "big"),
                timestamp.to_bytes(4, "big"),
                ssrc.to_bytes(4, "big"),
                wire[12:],
            )
        )

    def _note(self, output_seq: int, size: int, now_ms: float) -> None:
        times = self._sent.get(output_seq, (0.0, 0))[1]
        self._sent[output_seq] = (now_ms, times + 1)
        self._sent.move_to_end(output_seq)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        self._budget_bytes -= size
        self.counters.sent += 1
        self.counters.bytes += size

    def _refill(self, now_ms: float) -> None:
        if self._budget_ms is not None:
            gained = (now_ms - self._budget_ms) * self.budget_bps / 8000
            burst = min(BUDGET_BURST_BYTES, max(MIN_BURST_BYTES, self.budget_bps * BURST_S / 8))
            self._budget_bytes = min(burst, self._budget_bytes + gained)
        self._budget_ms = now_ms


def _as_seen(splice: Splice, packet: MediaPacket) -> MediaPacket | None:
    """The packet as the viewer would have had it. One that came too late to close up its number,
    and is above the viewer's cap, carries nothing. None for sound whose form is forgotten."""
    if splice.voice is not None:
        return splice.source.voice.built(packet, splice.voice)
    if not splice.keeps(packet):
        return packet._replace(payload=b"")
    renumber = splice.thinning is not None or splice.vp8 != UNMOVED
    if not renumber or splice.source.codec.name != "VP8":
        return packet
    return packet._replace(payload=renumbered(packet.payload, splice.thinning, splice.vp8))
