"""What a publisher and a pull from an upstream share: RTP in, runs of media packets out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from relay.core.ingest import PublisherIngest
from relay.core.ingest_source import IngestSource
from relay.core.lint import Finding, IngestLinter
from relay.core.negotiation import CodecParameters, PublisherNegotiation
from relay.core.packet import MediaPacket
from relay.core.source import PublisherClock, Source
from relay.transport.parameters import CloseReason

SourceRun = tuple[Source, list[MediaPacket]]


@dataclass(frozen=True)
class FeedCallbacks:
    """What the stream does when something comes from a feed."""

    on_media: Callable[[Feed, list[SourceRun], float], None]
    on_closed: Callable[[Feed, CloseReason], None]


class Feed(ABC):
    """Incoming media of one session; *alive* while packets arrive.

    id, subject: of the session. pulled: it comes from an upstream and not from a publisher.
    lineage: ids of the nodes through which it came, ours left out.
    """

    id: str
    subject: str
    created_ms: float
    connected_ms: float | None
    closed_reason: CloseReason | None
    pulled = False
    lineage: tuple[str, ...] = ()

    def start_feed(
        self,
        negotiation: PublisherNegotiation,
        *,
        now_ms: float,
        local_ssrc: int,
        linter: IngestLinter | None,
        callbacks: FeedCallbacks,
        next_source_number: Callable[[], int],
    ) -> None:
        """Begin to take what was negotiated."""
        self.negotiation = negotiation
        self.ingest = PublisherIngest(negotiation, local_ssrc, now_ms)
        self.linter = linter
        if linter is not None:
            for media in negotiation.media:
                for codec in media.codecs:
                    linter.on_negotiated(media.kind, codec)
        self.sources: dict[IngestSource, Source] = {}
        self.clock = PublisherClock()
        self.findings: list[Finding] = []
        self._repaired: dict[int, int] = {}
        self._callbacks = callbacks
        self._next_source_number = next_source_number

    # -- of the session

    @abstractmethod
    def send_rtcp(self, compound: bytes) -> None:
        """Send a clear compound to where the media comes from."""

    @abstractmethod
    def end(self, reason: CloseReason) -> None:
        """Close the session; `on_closed` follows."""

    @property
    @abstractmethod
    def path_rtt_ms(self) -> float | None:
        """Round trip of the ICE checks."""

    # -- for the stream

    def alive(self, now_ms: float, silence_ms: float) -> bool:
        """It delivered something within `silence_ms`, or is still coming up."""
        if self.closed_reason is not None:
            return False
        return now_ms - max(self.ingest.last_packet_ms, self.created_ms) < silence_ms

    def codecs(self) -> list[CodecParameters]:
        """What it sends: codecs seen, or else those negotiated first, one a kind."""
        seen = {s.kind: s.codec for s in self.sources.values()}
        for media in self.negotiation.media:
            seen.setdefault(media.kind, media.codecs[0])
        return list(seen.values())

    def take_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """A drained batch of clear RTP."""
        runs: list[SourceRun] = []
        for ingest_source, packet in self.ingest.on_rtp(packets, now_ms):
            source = self._source_of(ingest_source)
            if self.linter is not None:
                self._lint(self.linter, source, packet)
            if runs and runs[-1][0] is source:
                runs[-1][1].append(packet)
            else:
                runs.append((source, [packet]))
        if runs:
            # Voice first: a few packets that must not wait behind a key frame.
            runs.sort(key=lambda run: run[0].kind != "audio")
            self._callbacks.on_media(self, runs, now_ms)
        self.flush_rtcp(now_ms)

    def take_rtcp(self, packet: bytes, now_ms: float) -> None:
        """A clear compound."""
        self.ingest.on_rtcp(packet, now_ms)
        for ingest_source in self.ingest.sources:
            source = self.sources.get(ingest_source)
            point = ingest_source.sender_report
            if source is not None and point is not None and point != source.sender_report:
                source.on_sender_report(point)
        if self.ingest.said_bye:
            self.end(CloseReason.BYE)

    def request_keyframe(self, source: Source, now_ms: float) -> None:
        """Ask the encoder of a source for a key frame."""
        for ingest_source in self.ingest.sources:
            if self.sources.get(ingest_source) is source:
                self.ingest.request_keyframe(ingest_source, now_ms)
                if self.linter is not None:
                    self.linter.on_keyframe_requested(source.number, now_ms)
                self.flush_rtcp(now_ms)

    def flush_rtcp(self, now_ms: float) -> None:
        """Send what ingest has to say: reports, NACKs, key-frame requests, bandwidth."""
        if now_ms >= self.ingest.next_deadline_ms():
            for compound in self.ingest.poll_rtcp(now_ms):
                self.send_rtcp(compound)

    def poll(self, now_ms: float) -> None:
        """Some ten times a second."""
        self.flush_rtcp(now_ms)
        if self.linter is not None:
            self._poll_linter(self.linter, now_ms)
        live = set(self.ingest.sources)
        self.sources = {k: v for k, v in self.sources.items() if k in live}
        if self.path_rtt_ms is not None:
            self.ingest.on_round_trip(self.path_rtt_ms)
        rtt_ms = self.ingest.rtt_ms
        if rtt_ms is not None:
            for source in self.sources.values():
                source.keyframes.rtt_ms = rtt_ms

    def closed(self, reason: CloseReason) -> None:
        """The transport is gone."""
        if self.closed_reason is None:
            self.closed_reason = reason
            self._callbacks.on_closed(self, reason)

    def _poll_linter(self, linter: IngestLinter, now_ms: float) -> None:
        for ingest_source, source in self.sources.items():
            inserted = ingest_source.stats.parameter_sets_inserted
            if inserted > self._repaired.get(source.number, 0):
                self._repaired[source.number] = inserted
                linter.on_repaired(source.number, now_ms)
        self.findings = linter.poll(now_ms)

    def _source_of(self, ingest_source: IngestSource) -> Source:
        source = self.sources.get(ingest_source)
        if source is None:
            source = Source(
                self._next_source_number(),
                ingest_source.kind,
                ingest_source.codec,
                can_request_keyframe=ingest_source.can_request_keyframe,
                rid=ingest_source.rid,
                clock=self.clock,
            )
            self.sources[ingest_source] = source
        return source

    def _lint(self, linter: IngestLinter, source: Source, packet: MediaPacket) -> None:
        linter.on_packet(
            source.number,
            source.kind,
            source.codec.name,
            packet.payload,
            packet.timestamp,
            packet.marker,
            packet.arrival_ms,
            packet.audio_level,
        )
