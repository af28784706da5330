"""ICE, DTLS, SRTP and the one media port of the process."""

from relay.transport.candidate import Candidate
from relay.transport.certificate import DtlsCertificate
from relay.transport.parameters import CloseReason, PeerHandler, PeerParameters
from relay.transport.peer import Peer
from relay.transport.port import MediaPort
from relay.transport.tcp_listener import TcpPorts

__all__ = [
    "Candidate",
    "CloseReason",
    "DtlsCertificate",
    "MediaPort",
    "Peer",
    "PeerHandler",
    "PeerParameters",
    "TcpPorts",
]
