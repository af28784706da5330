"""What a peer is made from, what it reports to, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from relay.transport.candidate import Candidate

if TYPE_CHECKING:
    from relay.transport.peer import Peer

DtlsRole = Literal["server", "client"]
IceRole = Literal["lite", "controlling"]


class CloseReason(StrEnum):
    """Why a peer ended; a metric label and a log key."""

    LOCAL = "local"
    """Our side ended it and has nothing more to say about it."""
    DELETED = "deleted"
    """The session's owner sent DELETE."""
    REPLACED = "replaced"
    """A newer session took its place."""
    BYE = "bye"
    """RTCP BYE for all its streams."""
    SHUTDOWN = "shutdown"
    """The process or its port is closing."""
    PEER_CLOSED = "peer_closed"
    """DTLS close_notify from the other side."""
    NEVER_CONNECTED = "never_connected"
    """No path, or no DTLS, within the first-contact time."""
    CONSENT_EXPIRED = "consent_expired"
    """No valid connectivity check for the consent time (RFC 7675)."""
    DTLS_FAILED = "dtls_failed"
    """Handshake failure, or no common SRTP profile."""
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    """The certificate is not the one that the signalling named (RFC 8122)."""


@dataclass(frozen=True)
class PeerParameters:
    """What offer and answer settled about one transport.

    remote_fingerprints: (algorithm in lower case, "AA:BB…"). dtls_role: ours. ice_role: lite only
    answers checks (servers), controlling sends them (clients). open_media: False hands RTP on
    sealed and unchecked, for load clients that read only its clear header. tcp_only: a controlling
    peer that leaves UDP candidates alone. voice_ssrcs: of ours, kept when a TCP connection is slow.
    """

    local_ufrag: str
    local_pwd: str
    remote_ufrag: str
    remote_pwd: str
    remote_fingerprints: tuple[tuple[str, str], ...]
    dtls_role: DtlsRole
    ice_role: IceRole
    remote_candidates: tuple[Candidate, ...] = ()
    open_media: bool = True
    tcp_only: bool = False
    voice_ssrcs: frozenset[int] = frozenset()


class PeerHandler(Protocol):
    """The owner of a peer. Calls come from the event loop, never from within `add_peer`."""

    def on_peer_connected(self, peer: Peer) -> None:
        """DTLS is done and SRTP keyed."""

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        """Clear RTP packets, one call per drained batch; `now_ms` is monotonic."""

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        """A clear compound RTCP packet."""

    def on_send_overflow(self, peer: Peer) -> None:
        """The peer's bounded queue dropped media: gate it to the next key frame."""

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        """Exactly once; the peer is freed afterwards."""
