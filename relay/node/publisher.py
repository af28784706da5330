"""A publisher: a WHIP session and what it feeds."""

from __future__ import annotations

from collections.abc import Callable

from relay.core.lint import IngestLinter, LintLimits
from relay.core.negotiation import PublisherNegotiation
from relay.node.feed import Feed, FeedCallbacks
from relay.node.session import IceCredentials, MediaSession
from relay.signalling.node_protocol import Grant
from relay.transport.peer import CloseReason, Peer
from relay.transport.port import MediaPort


class Publisher(MediaSession, Feed):
    """A WHIP session."""

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
        callbacks: FeedCallbacks,
        next_source_number: Callable[[], int],
    ) -> None:
        super().__init__("publisher", stream, grant, port, credentials, now_ms)
        self.start_feed(
            negotiation,
            now_ms=now_ms,
            local_ssrc=local_ssrc,
            linter=IngestLinter(LintLimits(video_budget_bps=video_budget_bps)),
            callbacks=callbacks,
            next_source_number=next_source_number,
        )

    # -- Feed

    def send_rtcp(self, compound: bytes) -> None:
        self.peer.send_rtcp(compound)

    def end(self, reason: CloseReason) -> None:
        self.peer.close(reason)

    @property
    def path_rtt_ms(self) -> float | None:
        return self.peer.rtt_ms

    # -- PeerHandler

    def on_peer_connected(self, peer: Peer) -> None:
        """DTLS is up."""
        self.connected_ms = self._port.now_ms()

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        """A drained batch of clear RTP."""
        self.take_rtp(packets, now_ms)

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        """A clear compound."""
        self.take_rtcp(packet, now_ms)

    def on_send_overflow(self, peer: Peer) -> None:
        """Only RTCP goes to a publisher; the next report replaces a lost one."""

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        """The transport is gone."""
        self.closed(reason)
