"""What a publisher sends, turned into media packets; what it must be told, into RTCP.

Each call of `on_rtp` or `on_rtcp` takes input and changes state; then `poll_rtcp` is drained and
`next_deadline_ms` tells when to drain again. An SSRC becomes an `IngestSource` at its first packet
that can be bound (`source_binding`). A new SSRC of the same section and layer, and a restart under
the old SSRC, are new sources; tracks splice to them at a key frame. The source before leaves
`sources` at once (same SSRC) or after two silent seconds (other SSRC).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from relay.core.drops import DropReason
from relay.core.ingest_feedback import UpstreamFeedback
from relay.core.ingest_source import IngestSource, KeyframeWish, Restart
from relay.core.negotiation import EXT_ABS_SEND_TIME, EXT_TRANSPORT_CC, PublisherNegotiation
from relay.core.packet import MediaPacket
from relay.core.rtcp import Bye, RtcpError, SenderReport, parse_compound
from relay.core.rtp import RtpError, RtpView, parse_rtp
from relay.core.serial import Unwrapper
from relay.core.source_binding import Binding, SourceBinder, extension_id

MAX_SOURCES = 16
MAX_REPAIR_STREAMS = 32
EVICTABLE_AFTER_MS = 2000.0
"""Silence after which a source may make room for another."""
FORGET_AFTER_MS = 30_000.0
KEYFRAME_ATTEMPTS = 3
MAX_EARLY_REPORTS = 16

_ABS_SEND_TIME_BITS = 24
_ABS_SEND_TIME_MS = 1000.0 / (1 << 18)
_RTT_WEIGHT = 1 / 8

Ingested: TypeAlias = list[tuple[IngestSource, MediaPacket]]


class PublisherIngest:
    """The receiving side of one publisher.

    drops: packets not taken, by reason. last_packet_ms: the last RTP packet that parsed.
    rtt_ms: smoothed round trip, None until known.
    """

    def __init__(self, negotiation: PublisherNegotiation, local_ssrc: int, now_ms: float) -> None:
        self.drops: Counter[DropReason] = Counter()
        self.last_packet_ms = now_ms
        self.rtt_ms: float | None = None
        self._binder = SourceBinder(negotiation)
        self._feedback = UpstreamFeedback(negotiation, local_ssrc)
        self._sources: dict[int, IngestSource] = {}
        self._repairs: dict[int, tuple[Binding, int]] = {}
        self._early_reports: dict[int, tuple[SenderReport, float]] = {}
        self._left = False
        self._delay_ssrc: int | None = None
        self._transport_cc_id = _extension_id(negotiation, EXT_TRANSPORT_CC)
        self._abs_send_time_id = _extension_id(negotiation, EXT_ABS_SEND_TIME)
        self._send_time = Unwrapper(_ABS_SEND_TIME_BITS)

    @property
    def sources(self) -> Sequence[IngestSource]:
        """Live sources, oldest first; at most MAX_SOURCES."""
        return tuple(self._sources.values())

    @property
    def said_bye(self) -> bool:
        """The publisher sent BYE for everything that it was sending."""
        return self._left or (
            bool(self._sources) and all(source.said_bye for source in self._sources.values())
        )

    @property
    def remb_bps(self) -> float | None:
        """The rate announced by REMB, None when the publisher did not negotiate only that."""
        return None if self._feedback.bandwidth is None else self._feedback.bandwidth.estimate_bps

    def on_rtp(self, packets: Sequence[bytes], now_ms: float) -> Ingested:
        """Take clear RTP packets of one read batch; never raises for what the peer sent."""
        out: Ingested = []
        for data in packets:
            try:
                view = parse_rtp(data)
            except RtpError:
                self.drops[DropReason.MALFORMED_RTP] += 1
                continue
            self.last_packet_ms = now_ms
            self._left = False
            self._note_bandwidth(view, len(data), now_ms)
            self._route(view, now_ms, out)
        return out

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Take a clear RTCP datagram: SR and BYE matter; never raises for what the peer sent."""
        try:
            parsed = parse_compound(packet)
        except RtcpError:
            self.drops[DropReason.MALFORMED_RTCP] += 1
            return
        for item in parsed:
            if isinstance(item, SenderReport):
                self._on_sender_report(item, now_ms)
            elif isinstance(item, Bye):
                self._left = self._left or not item.ssrcs
                for ssrc in item.ssrcs:
                    if ssrc in self._sources:
                        self._sources[ssrc].said_bye = True

    def on_round_trip(self, rtt_ms: float) -> None:
        """Take a round-trip sample from elsewhere (STUN checks); NACK retries follow it."""
        smoothed = self.rtt_ms
        self.rtt_ms = rtt_ms if smoothed is None else smoothed + (rtt_ms - smoothed) * _RTT_WEIGHT
        for source in self._sources.values():
            if source.nack is not None:
                source.nack.rtt_ms = self.rtt_ms

    def request_keyframe(self, source: IngestSource, now_ms: float) -> bool:
        """Queue a PLI, or a FIR if only that was negotiated; False if neither was.

        Repeated a few times until a key frame comes. The caller limits how often it is called.
        """
        if not source.can_request_keyframe:
            return False
        if source.keyframe_wish is None:
            source.fir_number += 1
        source.keyframe_wish = KeyframeWish(now_ms, KEYFRAME_ATTEMPTS)
        return True

    def poll_rtcp(self, now_ms: float) -> list[bytes]:
        """RTCP datagrams to send now."""
        self._forget_silent(now_ms)
        return self._feedback.poll(self.sources, now_ms)

    def next_deadline_ms(self) -> float:
        """When `poll_rtcp` next has something to send; infinity before the first source.

        Any input may bring it forward.
        """
        return self._feedback.next_deadline_ms(self.sources)

    def _note_bandwidth(self, view: RtpView, size: int, now_ms: float) -> None:
        feedback = self._feedback
        if feedback.transport_cc is not None:
            value = view.extensions.get(self._transport_cc_id)
            if value is not None and len(value) >= 2:
                feedback.transport_cc.record(value[0] << 8 | value[1], view.ssrc, now_ms)
        elif feedback.bandwidth is not None:
            feedback.bandwidth.on_packet(self._send_ms(view), size, now_ms)

    def _send_ms(self, view: RtpView) -> float | None:
        """When the sender sent it: its abs-send-time, else the time of the first video stream."""
        value = view.extensions.get(self._abs_send_time_id)
        if value is not None and len(value) == 3:
            return self._send_time.unwrap(int.from_bytes(value, "big")) * _ABS_SEND_TIME_MS
        if self._abs_send_time_id or view.ssrc != self._delay_ssrc:
            return None
        source = self._sources[view.ssrc]
        return source.extend_timestamp(view.timestamp) * 1000.0 / source.clock_rate

    def _route(self, view: RtpView, now_ms: float, out: Ingested) -> None:
        source = self._sources.get(view.ssrc)
        if source is not None:
            self._take(source, view, now_ms, out)
            return
        repair = self._repairs.get(view.ssrc)
        if repair is not None:
            self._unwrap_repair(repair[0], repair[1], view, now_ms, out)
            return
        binding = self._binder.bind(view)
        if isinstance(binding, DropReason):
            self.drops[binding] += 1
        elif binding.repair:
            self._first_repair(binding, view, now_ms, out)
        else:
            self._add_source(binding, view, now_ms, out)

    def _take(
        self,
        source: IngestSource,
        view: RtpView,
        now_ms: float,
        out: Ingested,
        *,
        repair: bool = False,
    ) -> None:
        accepted = source.accept(view, now_ms, repair=repair)
        if isinstance(accepted, Restart):
            self._restart(source, accepted.held, view, now_ms, out)
        elif isinstance(accepted, DropReason):
            self.drops[accepted] += 1
        else:
            if source.round_trip_ms is not None:
                self.on_round_trip(source.round_trip_ms)
            out += [(source, packet) for packet in accepted]

    def _restart(
        self,
        old: IngestSource,
        held: RtpView | None,
        view: RtpView,
        now_ms: float,
        out: Ingested,
    ) -> None:
        """The sender began anew under its SSRC, with `held` (if any) and then `view`."""
        binding = self._binder.rebind(old.binding, view.payload_type)
        if binding is None:
            self.drops[DropReason.UNKNOWN_PAYLOAD_TYPE] += 1
            return
        fresh = self._install(binding, view.ssrc, now_ms)
        if held is not None and held.payload_type == view.payload_type:
            self.drops[DropReason.TOO_OLD] -= 1  # counted when it was held, taken after all
            self._take(fresh, held, now_ms, out)
        self._take(fresh, view, now_ms, out)

    def _add_source(self, binding: Binding, view: RtpView, now_ms: float, out: Ingested) -> None:
        if len(self._sources) >= MAX_SOURCES and not self._evict(now_ms):
            self.drops[DropReason.TOO_MANY_SOURCES] += 1
            return
        source = self._install(binding, view.ssrc, now_ms)
        self._take(source, view, now_ms, out)
        early = self._early_reports.pop(view.ssrc, None)
        if early is not None:
            source.on_sender_report(*early)

    def _install(self, binding: Binding, ssrc: int, now_ms: float) -> IngestSource:
        source = IngestSource(ssrc, binding, now_ms)
        if source.nack is not None and self.rtt_ms is not None:
            source.nack.rtt_ms = self.rtt_ms
        self._sources[ssrc] = source
        self._choose_delay_source()
        self._feedback.on_source(now_ms)
        return source

    def _first_repair(self, binding: Binding, view: RtpView, now_ms: float, out: Ingested) -> None:
        """Tie a repair stream to its source: as signalled, or to the one that misses its packet."""
        ssrc = binding.original_ssrc
        if ssrc is None:
            likely = [
                source
                for source in self._sources.values()
                if source.mid == binding.media.mid
                and source.codec == binding.codec
                and (binding.rid is None or source.rid == binding.rid)
            ]
            if len(likely) > 1 and len(view.payload) >= 2:
                number = view.payload[0] << 8 | view.payload[1]
                likely = [source for source in likely if source.misses(number)]
            if len(likely) != 1:
                self.drops[DropReason.RTX_UNKNOWN] += 1
                return
            ssrc = likely[0].ssrc
        if len(self._repairs) >= MAX_REPAIR_STREAMS:
            del self._repairs[next(iter(self._repairs))]
        self._repairs[view.ssrc] = (binding, ssrc)
        self._unwrap_repair(binding, ssrc, view, now_ms, out)

    def _unwrap_repair(
        self, binding: Binding, ssrc: int, view: RtpView, now_ms: float, out: Ingested
    ) -> None:
        """RFC 4588 section 4: two bytes of original sequence number, then the payload."""
        source = self._sources.get(ssrc)
        if source is None or view.payload_type != binding.codec.rtx_payload_type:
            self._repairs.pop(view.ssrc, None)
            self.drops[DropReason.RTX_UNKNOWN] += 1
        elif len(view.payload) <= 2:
            self.drops[DropReason.PADDING_ONLY] += 1
        else:
            original = RtpView(
                source.codec.payload_type,
                view.marker,
                view.payload[0] << 8 | view.payload[1],
                view.timestamp,
                ssrc,
                view.extensions,
                view.payload[2:],
            )
            self._take(source, original, now_ms, out, repair=True)

    def _on_sender_report(self, report: SenderReport, now_ms: float) -> None:
        source = self._sources.get(report.ssrc)
        if source is not None:
            source.on_sender_report(report, now_ms)
        elif report.ssrc in self._early_reports or len(self._early_reports) < MAX_EARLY_REPORTS:
            self._early_reports[report.ssrc] = (report, now_ms)

    def _evict(self, now_ms: float) -> bool:
        """Make room by dropping the source that has been silent longest."""
        oldest = min(self._sources.values(), key=lambda source: source.last_packet_ms)
        if now_ms - oldest.last_packet_ms < EVICTABLE_AFTER_MS:
            return False
        del self._sources[oldest.ssrc]
        self._choose_delay_source()
        return True

    def _forget_silent(self, now_ms: float) -> None:
        """Drop sources that were replaced or have been silent for long."""
        newest: dict[tuple[str, str | None], IngestSource] = {}
        for source in self._sources.values():
            newest[source.mid, source.rid] = source
        for source in list(self._sources.values()):
            replaced = newest[source.mid, source.rid] is not source
            limit_ms = EVICTABLE_AFTER_MS if replaced else FORGET_AFTER_MS
            if now_ms - source.last_packet_ms > limit_ms:
                del self._sources[source.ssrc]
                self._choose_delay_source()

    def _choose_delay_source(self) -> None:
        videos = (ssrc for ssrc, source in self._sources.items() if source.kind == "video")
        self._delay_ssrc = next(videos, None)


def _extension_id(negotiation: PublisherNegotiation, uri: str) -> int:
    """The id of an extension that bundled sections share, 0 when none has it."""
    return max((extension_id(media, uri) for media in negotiation.media), default=0)
