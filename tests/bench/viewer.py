"""One viewer of the load client: its transport, its reports, and what it keeps of the stream."""

from __future__ import annotations

import secrets
import socket

import pylibsrtp

from tests.bench.certificate import Certificate
from tests.bench.peer import Peer
from tests.bench.rtcp_bytes import receiver_report
from tests.bench.sdp import Credentials, Remote
from tests.bench.stamp import read_stamp

_REMB_BPS = 10_000_000


class Viewer:
    """asked_ns, answered_ns: CLOCK_REALTIME of its POST and of the answer.

    latencies_ns: per payload type, send to kernel receive; only filled while `sampling`.
    """

    def __init__(self, index: int, sock: socket.socket, certificate: Certificate) -> None:
        self.index = index
        self.asked_ns = 0
        self.answered_ns = 0
        self.failure = ""
        self.location = ""
        self.latencies_ns: dict[int, list[int]] = {}
        self.bad_packets = 0
        self.unstamped = 0
        self.sampling = False
        self.ssrc = secrets.randbits(32)
        self._sock = sock
        self.peer = Peer(certificate, self._send)
        self.credentials = Credentials(
            self.peer.local_ufrag, self.peer.local_pwd, certificate.fingerprint
        )

    def candidate(self, host: str) -> tuple[str, int]:
        """Its address as a server on `host` sees it."""
        return host, int(self._sock.getsockname()[1])

    def _send(self, data: bytes) -> None:
        assert self.peer.remote_address is not None
        try:
            self._sock.sendto(data, self.peer.remote_address)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as on a wire

    def connect(self, remote: Remote, now_s: float) -> None:
        self.peer.start(remote, now_s)

    def send_report(self, blocks: list[tuple[int, int]]) -> None:
        """RR and REMB as a browser sends once a second."""
        if self.peer.outbound is not None:
            report = receiver_report(self.ssrc, blocks, _REMB_BPS)
            self._send(self.peer.outbound.protect_rtcp(report))

    def on_rtp(self, packet: bytes, received_ns: int) -> None:
        """Decrypt one packet (sampled viewers only). received_ns: CLOCK_MONOTONIC."""
        if self.peer.inbound is None:
            return
        try:
            clear = self.peer.inbound.unprotect(packet)
        except pylibsrtp.Error:
            self.bad_packets += 1
            return
        if not self.sampling:
            return
        sent_ns = read_stamp(clear)
        if sent_ns is None:
            self.unstamped += 1
        else:
            latencies = self.latencies_ns.setdefault(packet[1] & 0x7F, [])
            latencies.append(received_ns - sent_ns)
