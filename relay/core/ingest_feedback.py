"""RTCP towards a publisher: what is due, packed into compound packets.

Reports come every second (faster at first), NACK and key-frame requests the moment they are due,
bandwidth feedback as negotiated: transport-cc where there is a choice, else REMB. Every compound
starts with an RR and an SDES (RFC 3550 section 6.1), so that peers without reduced-size RTCP take
it; transport-cc feedback goes alone, as libwebrtc sends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.ingest_source import IngestSource
from relay.core.negotiation import EXT_TRANSPORT_CC, PublisherNegotiation
from relay.core.receive_bandwidth import ReceiveBandwidth
from relay.core.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    RtcpPacket,
    SourceDescription,
    encode,
)
from relay.core.twcc import TransportFeedbackBuilder

FIRST_REPORT_MS = 500.0
REPORT_MS = 1000.0
QUICK_REPORTS = 8
"""Reports sent at the quick interval while the sender finds its rate."""
KEYFRAME_RETRY_MS = 500.0
NACKS_PER_PACKET = 128
MAX_COMPOUND_BYTES = 1100
INFINITY = float("inf")


def negotiated(negotiation: PublisherNegotiation, feedback: str) -> bool:
    """True when any codec has this RTCP feedback."""
    return any(feedback in c.rtcp_feedback for media in negotiation.media for c in media.codecs)


class UpstreamFeedback:
    """Schedules and builds RTCP for one publisher.

    transport_cc: builder, if transport-cc feedback was negotiated. bandwidth: estimator, if only
    REMB was.
    """

    def __init__(self, negotiation: PublisherNegotiation, local_ssrc: int) -> None:
        self._local_ssrc = local_ssrc
        self._description = SourceDescription.of_cname(local_ssrc, f"wardcast-{local_ssrc:08x}")
        has_extension = any(EXT_TRANSPORT_CC in media.extensions for media in negotiation.media)
        self.transport_cc: TransportFeedbackBuilder | None = None
        self.bandwidth: ReceiveBandwidth | None = None
        if has_extension and negotiated(negotiation, "transport-cc"):
            self.transport_cc = TransportFeedbackBuilder(local_ssrc)
        elif negotiated(negotiation, "goog-remb"):
            self.bandwidth = ReceiveBandwidth()
        self._report_due_ms = INFINITY
        self._reports_sent = 0

    def on_source(self, now_ms: float) -> None:
        """A source appeared: reports begin."""
        if self._report_due_ms == INFINITY:
            self._report_due_ms = now_ms + FIRST_REPORT_MS

    def poll(self, sources: Sequence[IngestSource], now_ms: float) -> list[bytes]:
        """Everything due at `now_ms`, each a datagram."""
        reports = ReceiverReport(self._local_ssrc)
        report_due = now_ms >= self._report_due_ms
        if report_due:
            reports = self._report(sources, now_ms)
        packets = self._nacks(sources, now_ms)
        packets += self._keyframe_requests(sources, now_ms)
        packets += self._remb(sources, now_ms)
        out = self._compounds(reports, packets) if packets or report_due else []
        if self.transport_cc is not None:
            out += [encode([feedback]) for feedback in self.transport_cc.poll(now_ms)]
        return out

    def next_deadline_ms(self, sources: Sequence[IngestSource]) -> float:
        """When `poll` has something to send; infinity while nothing runs."""
        deadline = self._report_due_ms
        for source in sources:
            if source.nack is not None:
                deadline = min(deadline, source.nack.next_deadline_ms())
            if source.keyframe_wish is not None:
                deadline = min(deadline, source.keyframe_wish.due_ms)
        if self.transport_cc is not None:
            deadline = min(deadline, self.transport_cc.next_deadline_ms())
        if self.bandwidth is not None:
            deadline = min(deadline, self.bandwidth.next_deadline_ms())
        return deadline

    def _report(self, sources: Sequence[IngestSource], now_ms: float) -> ReceiverReport:
        self._reports_sent += 1
        quick = self._reports_sent < QUICK_REPORTS
        self._report_due_ms = now_ms + (FIRST_REPORT_MS if quick else REPORT_MS)
        blocks = []
        for source in sources:
            source.stats.advance(now_ms)
            blocks.append(source.stats.report_block(now_ms))
            if self.bandwidth is not None and source.kind == "video":
                self.bandwidth.on_loss(source.stats.fraction_lost, now_ms)
        return ReceiverReport(self._local_ssrc, tuple(blocks))

    def _nacks(self, sources: Sequence[IngestSource], now_ms: float) -> list[RtcpPacket]:
        packets: list[RtcpPacket] = []
        for source in sources:
            if source.nack is None:
                continue
            seqs = source.nack.poll(now_ms)
            source.stats.nacks_sent += len(seqs)
            for at in range(0, len(seqs), NACKS_PER_PACKET):
                wire = tuple(seq & 0xFFFF for seq in seqs[at : at + NACKS_PER_PACKET])
                packets.append(Nack(self._local_ssrc, source.ssrc, wire))
        return packets

    def _keyframe_requests(
        self, sources: Sequence[IngestSource], now_ms: float
    ) -> list[RtcpPacket]:
        packets: list[RtcpPacket] = []
        for source in sources:
            wish = source.keyframe_wish
            if wish is None or now_ms < wish.due_ms:
                continue
            wish.attempts_left -= 1
            wish.due_ms = now_ms + KEYFRAME_RETRY_MS
            if wish.attempts_left <= 0:
                source.keyframe_wish = None
            if "nack pli" in source.codec.rtcp_feedback:
                packets.append(PictureLoss(self._local_ssrc, source.ssrc))
            else:
                entry = (source.ssrc, source.fir_number & 0xFF)
                packets.append(FullIntraRequest(self._local_ssrc, (entry,)))
        return packets

    def _remb(self, sources: Sequence[IngestSource], now_ms: float) -> list[RtcpPacket]:
        rate = None if self.bandwidth is None else self.bandwidth.poll(now_ms)
        if rate is None:
            return []
        ssrcs = tuple(source.ssrc for source in sources)
        return [Remb(rate, ssrcs, self._local_ssrc)]

    def _compounds(self, reports: ReceiverReport, packets: list[RtcpPacket]) -> list[bytes]:
        """Datagrams under an MTU, each starting with a report."""
        empty = encode([ReceiverReport(self._local_ssrc), self._description])
        out: list[bytes] = []
        current = encode([reports, self._description])
        for packet in packets:
            data = encode([packet])
            if len(current) + len(data) > MAX_COMPOUND_BYTES:
                out.append(current)
                current = empty
            current += data
        out.append(current)
        return out
