"""One WebRTC transport of a port, and the words that describe it."""

from __future__ import annotations

from relay.transport.parameters import CloseReason, DtlsRole, IceRole, PeerHandler, PeerParameters

__all__ = ["CloseReason", "DtlsRole", "IceRole", "Peer", "PeerHandler", "PeerParameters"]


class Peer:
    """A transport from its first check to its close."""

    index: int
    connected: bool
    remote_address: tuple[str, int] | None
    srtp_profile: str | None
    rtt_ms: float | None
