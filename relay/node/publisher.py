"""A publisher: its ingest, its sources as the router knows them, its linter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.core.ingest import PublisherIngest
from relay.core.ingest_source import IngestSource
from relay.core.lint import Finding, IngestLinter, LintLimits
from relay.core.negotiation import CodecParameters, PublisherNegotiation
from relay.core.packet import MediaPacket
from relay.core.source import PublisherClock, Source
from relay.node.session import IceCredentials, MediaSession
from relay.signalling.node_protocol import Grant
from relay.transport.peer import CloseReason, Peer
from relay.transport.port import MediaPort

SourceRun = tuple[Source, list[MediaPacket]]


@dataclass(frozen=True)
class PublisherCallbacks:
    """What the stream does when something comes from a publisher."""

    on_media: Callable[[Publisher, list[SourceRun], float], None]
    on_closed: Callable[[Publisher, CloseReason], None]


class Publisher(MediaSession):
    """A WHIP session. It is *alive* while packets arrive."""

    def __init__(
        self,
        stream: str,
        grant: Grant,
        port: MediaPort,
        credentials: IceCredentials,
        negotiation: PublisherNegotiation,
        *,
        now_ms: float,
        local_ssrc: int,
        video_budget_bps: int,
        callbacks: PublisherCallbacks,
        next_source_number: Callable[[], int],
    ) -> None:
        super().__init__("publisher", stream, grant, port, credentials, now_ms)
        self.negotiation = negotiation
        self.ingest = PublisherIngest(negotiation, local_ssrc, now_ms)
        self.linter = IngestLinter(LintLimits(video_budget_bps=video_budget_bps))
        for media in negotiation.media:
            for codec in media.codecs:
                self.linter.on_negotiated(media.kind, codec)
        self.sources: dict[IngestSource, Source] = {}
        self.clock = PublisherClock()
        self.findings: list[Finding] = []
        self._repaired: dict[int, int] = {}
        self._callbacks = callbacks
        self._next_source_number = next_source_number

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

    # -- PeerHandler

    def on_peer_connected(self, peer: Peer) -> None:
        """DTLS is up."""
        self.connected_ms = self._port.now_ms()

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        """A drained batch of clear RTP."""
        runs: list[SourceRun] = []
        for ingest_source, packet in self.ingest.on_rtp(packets, now_ms):
            source = self._source_of(ingest_source)
            self._lint(source, packet)
            if runs and runs[-1][0] is source:
                runs[-1][1].append(packet)
            else:
                runs.append((source, [packet]))
        if runs:
            # Voice first: a few packets that must not wait behind a key frame.
            runs.sort(key=lambda run: run[0].kind != "audio")
            self._callbacks.on_media(self, runs, now_ms)
        self.flush_rtcp(now_ms)

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        """A clear compound."""
        self.ingest.on_rtcp(packet, now_ms)
        for ingest_source in self.ingest.sources:
            source = self.sources.get(ingest_source)
            point = ingest_source.sender_report
            if source is not None and point is not None and point != source.sender_report:
                source.on_sender_report(point)
        if self.ingest.said_bye:
            peer.close(CloseReason.BYE)

    def on_send_overflow(self, peer: Peer) -> None:
        """Only RTCP goes to a publisher; the next report replaces a lost one."""

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        """The transport is gone."""
        self.closed_reason = reason
        self._callbacks.on_closed(self, reason)

    # -- driven by the node

    def request_keyframe(self, source: Source, now_ms: float) -> None:
        """Ask the encoder of a source for a key frame."""
        for ingest_source in self.ingest.sources:
            if self.sources.get(ingest_source) is source:
                self.ingest.request_keyframe(ingest_source, now_ms)
                self.linter.on_keyframe_requested(source.number, now_ms)
                self.flush_rtcp(now_ms)

    def flush_rtcp(self, now_ms: float) -> None:
        """Send what ingest has to say: reports, NACKs, key-frame requests, bandwidth."""
        if now_ms >= self.ingest.next_deadline_ms():
            for compound in self.ingest.poll_rtcp(now_ms):
                self.peer.send_rtcp(compound)

    def poll(self, now_ms: float) -> None:
        """Some ten times a second."""
        self.flush_rtcp(now_ms)
        for ingest_source, source in self.sources.items():
            inserted = ingest_source.stats.parameter_sets_inserted
            if inserted > self._repaired.get(source.number, 0):
                self._repaired[source.number] = inserted
                self.linter.on_repaired(source.number, now_ms)
        self.findings = self.linter.poll(now_ms)
        live = set(self.ingest.sources)
        self.sources = {k: v for k, v in self.sources.items() if k in live}
        if self.peer.rtt_ms is not None:
            self.ingest.on_round_trip(self.peer.rtt_ms)
        rtt_ms = self.ingest.rtt_ms
        if rtt_ms is not None:
            for source in self.sources.values():
                source.keyframes.rtt_ms = rtt_ms

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

    def _lint(self, source: Source, packet: MediaPacket) -> None:
        self.linter.on_packet(
            source.number,
            source.kind,
            source.codec.name,
            packet.payload,
            packet.timestamp,
            packet.marker,
            packet.arrival_ms,
            packet.audio_level,
        )
