"""A viewer: a WHEP session and its lanes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from relay.core.negotiation import ViewerNegotiation
from relay.core.viewer import Viewer as ViewerLanes
from relay.node.session import IceCredentials, MediaSession
from relay.signalling.node_protocol import Grant, LayerRequest
from relay.transport.peer import CloseReason, Peer
from relay.transport.port import MediaPort


@dataclass(frozen=True)
class ViewerCallbacks:
    """What the stream does when something comes from a viewer."""

    on_connected: Callable[[ViewerSession], None]
    on_rtcp: Callable[[ViewerSession, bytes, float], None]
    on_overflow: Callable[[ViewerSession], None]
    on_wish: Callable[[ViewerSession, LayerRequest], None]
    on_closed: Callable[[ViewerSession, CloseReason], None]


class ViewerSession(MediaSession):
    """A WHEP session."""

    def __init__(
        self,
        stream: str,
        grant: Grant,
        port: MediaPort,
        credentials: IceCredentials,
        negotiation: ViewerNegotiation,
        *,
        now_ms: float,
        callbacks: ViewerCallbacks,
    ) -> None:
        super().__init__("viewer", stream, grant, port, credentials, now_ms)
        self.negotiation = negotiation
        self.lanes: ViewerLanes | None = None
        self.packets_sent = 0
        self.bytes_sent = 0
        self.bitrate_bps = 0.0
        self._measured_ms: float | None = None
        self._callbacks = callbacks

    def measure(self, sent: tuple[int, int], now_ms: float) -> None:
        """Take (packets, bytes) sent so far; called about once a second."""
        packets, octets = sent
        if self._measured_ms is not None and now_ms > self._measured_ms:
            self.bitrate_bps = (octets - self.bytes_sent) * 8000 / (now_ms - self._measured_ms)
        self.packets_sent, self.bytes_sent, self._measured_ms = packets, octets, now_ms

    @property
    def voice_ssrcs(self) -> frozenset[int]:
        """Audio that it is sent."""
        sections = (m for m in self.negotiation.media if m.kind == "audio")
        return frozenset(ssrc for section in sections for ssrc in section.ssrcs)

    @property
    def commune(self) -> str:
        """Slug of the commune it belongs to."""
        return self.subject

    def ask_layer(self, request: LayerRequest) -> None:
        """What the viewer wants of its picture."""
        self._callbacks.on_wish(self, request)

    def on_peer_connected(self, peer: Peer) -> None:
        """DTLS is up: media may flow."""
        self.connected_ms = self._port.now_ms()
        self._callbacks.on_connected(self)

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        """A viewer has nothing to send; what comes is ignored."""

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        """A clear compound."""
        self._callbacks.on_rtcp(self, packet, now_ms)

    def on_send_overflow(self, peer: Peer) -> None:
        """Its bounded queue dropped packets."""
        self._callbacks.on_overflow(self)

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        """The transport is gone."""
        self.closed_reason = reason
        self._callbacks.on_closed(self, reason)
