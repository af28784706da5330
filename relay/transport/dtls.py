"""DTLS 1.2 with use_srtp (RFC 5764), sans-I/O over OpenSSL's memory BIOs.

Four verbs: `feed` a datagram, `take` what is to be sent, `next_deadline_ms`, `on_deadline`.
Invariant: after every verb the outgoing BIO has been drained into `take`.

OpenSSL's first retransmission comes after a second, by its own clock. Some stacks drop the first
flight because their ICE is not ready, so a flight without an answer is sent again verbatim after
RESEND_MS; a receiver that did get it drops the copies as replays. Where OpenSSL's timer has run
out by then its fresh copy goes instead. A server whose last flight was lost sees the client's
again, and repeats its own.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from relay.transport.certificate import DtlsCertificate, fingerprint_matches
from relay.transport.parameters import CloseReason, DtlsRole
from relay.transport.srtp_profile import PROFILES_BY_NAME, SrtpKeys, split_keys

MTU_BYTES = 900
"""A flight fits a line of 1000 bytes. With certificates on P-256 ours are of some 640 anyway."""
MAX_DATAGRAM_BYTES = 4096
MAX_RECORDS = MAX_DATAGRAM_BYTES // 13
"""A datagram holds no more."""
RESEND_MS = (100.0, 300.0, 700.0, 1500.0, 3100.0, 6300.0, 12700.0, 25500.0)
"""When a flight is sent again, after it was first sent."""
MAX_LAST_FLIGHTS = 8
"""How often a server repeats its last flight."""
_RECORD_HEADER_BYTES = 13
_HANDSHAKE_TYPES = (20, 22)
"""ChangeCipherSpec and handshake records."""
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
)
_PROFILES = b"SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"
_DTLS_1_2 = 0xFEFD
_MODE_RELEASE_BUFFERS = 0x10
"""Idle associations give their record buffers back: 8 KB a peer."""
_EXPORTER = b"EXTRACTOR-dtls_srtp"


class DtlsState(Enum):
    """NEW → HANDSHAKE → CONNECTED → CLOSED; any state may go to CLOSED."""

    NEW = "new"
    HANDSHAKE = "handshake"
    CONNECTED = "connected"
    CLOSED = "closed"


class DtlsContext:
    """Certificate and settings, shared by every peer of a port, in either role.

    A peer's certificate may be RSA or on P-256, P-384, P-521; OpenSSL 4 knows no P-224 any more.
    """

    def __init__(self, certificate: DtlsCertificate) -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(_MODE_RELEASE_BUFFERS)
        context.set_cipher_list(_CIPHERS.encode())
        context.set_tlsext_use_srtp(_PROFILES)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any)
        context.use_certificate(certificate.certificate)
        context.use_privatekey(certificate.key)
        self.ssl_context = context

    @classmethod
    def of(cls, certificate: DtlsCertificate) -> DtlsContext:
        """The one context of a certificate: ports that share the one share the other."""
        context = _contexts.get(certificate)
        if context is None:
            context = _contexts[certificate] = cls(certificate)
        return context


_contexts: WeakKeyDictionary[DtlsCertificate, DtlsContext] = WeakKeyDictionary()


def _accept_any(_: SSL.Connection, __: crypto.X509, ___: int, ____: int, _____: int) -> bool:
    """Certificates are self-signed; the fingerprint decides, once the handshake is through."""
    return True


@dataclass(frozen=True)
class DtlsResult:
    """The outcome of a handshake."""

    profile: str
    keys: SrtpKeys


class DtlsSession:
    """One association. Times are monotonic milliseconds."""

    def __init__(
        self, context: DtlsContext, role: DtlsRole, remote_fingerprints: Sequence[tuple[str, str]]
    ) -> None:
        self.state = DtlsState.NEW
        self.result: DtlsResult | None = None
        self.close_reason: CloseReason | None = None
        self._role = role
        self._fingerprints = remote_fingerprints
        self._outgoing: list[bytes] = []
        self._flight: list[bytes] = []
        self._flight_ms = 0.0
        self._resent = 0
        self._last_flights = 0
        self._ssl: SSL.Connection | None = SSL.Connection(context.ssl_context, None)
        self._ssl.set_ciphertext_mtu(MTU_BYTES)
        if role == "client":
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()

    def start(self, now_ms: float) -> None:
        """A path is there: the client says hello, the server begins to listen."""
        if self.state is DtlsState.NEW:
            self.state = DtlsState.HANDSHAKE
            if self._role == "client":
                self._advance(now_ms)

    def feed(self, datagram: bytes, now_ms: float) -> bool:
        """A datagram from the peer; nonsense in it is skipped as DTLS wants.

        False if it is no DTLS at all or comes when none is awaited.
        """
        if self._ssl is None or self.state is DtlsState.NEW:
            return False
        if not _RECORD_HEADER_BYTES <= len(datagram) <= MAX_DATAGRAM_BYTES:
            return False
        self._ssl.bio_write(datagram)
        if self.state is DtlsState.CONNECTED:
            repeats = datagram[0] in _HANDSHAKE_TYPES and self._last_flights < MAX_LAST_FLIGHTS
            if repeats and self._role == "server":
                self._last_flights += 1
                self._outgoing += self._flight
            self._read(now_ms)
        else:
            self._advance(now_ms)
        return True

    def take(self) -> list[bytes]:
        """Datagrams to send, in order."""
        out, self._outgoing = self._outgoing, []
        return out

    def next_deadline_ms(self) -> float:
        """When `on_deadline` is due."""
        if self.state is not DtlsState.HANDSHAKE or self._resent >= len(RESEND_MS):
            return math.inf
        return self._flight_ms + RESEND_MS[self._resent] if self._flight else math.inf

    def on_deadline(self, now_ms: float) -> None:
        """Send again what was not answered."""
        if self._ssl is None or self.next_deadline_ms() > now_ms:
            return
        self._resent += 1
        try:
            fresh = self._ssl.DTLSv1_handle_timeout()
        except SSL.Error:
            self._fail(CloseReason.DTLS_FAILED)
            return
        if fresh:
            self._drain(now_ms, is_flight=False)
        else:
            self._outgoing += self._flight

    def close(self) -> None:
        """Say close_notify if there is somebody to say it to, and free OpenSSL's state."""
        if self._ssl is None:
            return
        if self.state is DtlsState.CONNECTED:
            self._say_goodbye(self._ssl)
        self._end()

    def _say_goodbye(self, ssl: SSL.Connection) -> None:
        """close_notify; a broken association has nobody to say it to."""
        with contextlib.suppress(SSL.Error):
            ssl.shutdown()
        self._drain(0.0, is_flight=False)

    def _advance(self, now_ms: float) -> None:
        ssl = self._ssl
        if ssl is None:
            return
        try:
            ssl.do_handshake()
        except SSL.WantReadError:
            self._drain(now_ms, is_flight=True)
            return
        except SSL.Error:
            self._drain(now_ms, is_flight=False)
            self._fail(CloseReason.DTLS_FAILED)
            return
        self._drain(now_ms, is_flight=True)
        self._finish(ssl, now_ms)

    def _finish(self, ssl: SSL.Connection, now_ms: float) -> None:
        certificate = ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            self._fail(CloseReason.DTLS_FAILED)
            return
        der = certificate.public_bytes(Encoding.DER)
        if not fingerprint_matches(der, self._fingerprints):
            self._say_goodbye(ssl)
            self._fail(CloseReason.FINGERPRINT_MISMATCH)
            return
        profile = PROFILES_BY_NAME.get(ssl.get_selected_srtp_profile())
        if profile is None:
            self._say_goodbye(ssl)
            self._fail(CloseReason.DTLS_FAILED)
            return
        material = ssl.export_keying_material(_EXPORTER, profile.material_bytes)
        self.result = DtlsResult(profile.name, split_keys(profile, material, self._role))
        self.state = DtlsState.CONNECTED
        if self._role == "client":
            self._flight = []
        self._read(now_ms)

    def _read(self, now_ms: float) -> None:
        """Alerts, and a repeated Finished, which OpenSSL answers by itself; data is not used."""
        ssl = self._ssl
        if ssl is None:
            return
        try:
            for _ in range(MAX_RECORDS):
                ssl.recv(MAX_DATAGRAM_BYTES)
        except SSL.WantReadError:
            self._drain(now_ms, is_flight=False)
        except SSL.ZeroReturnError:
            self.close()
            self.close_reason = CloseReason.PEER_CLOSED
        except SSL.Error:
            self._drain(now_ms, is_flight=False)
            self._fail(CloseReason.PEER_CLOSED)

    def _drain(self, now_ms: float, *, is_flight: bool) -> None:
        """BIO to datagrams: whole records, together up to the MTU."""
        ssl = self._ssl
        if ssl is None:
            return
        data = b""
        while True:
            try:
                data += ssl.bio_read(1 << 14)
            except SSL.WantReadError:
                break
        if not data:
            return
        datagrams = pack_records(data)
        self._outgoing += datagrams
        if is_flight:
            self._flight, self._flight_ms, self._resent = datagrams, now_ms, 0

    def _fail(self, reason: CloseReason) -> None:
        self.close_reason = reason
        self._end()

    def _end(self) -> None:
        self.state = DtlsState.CLOSED
        self._ssl = None
        self._flight = []


def pack_records(data: bytes) -> list[bytes]:
    """Cut a run of DTLS records into datagrams of whole records, at most MTU_BYTES if they fit."""
    out: list[bytes] = []
    start = at = 0
    while at + _RECORD_HEADER_BYTES <= len(data):
        end = at + _RECORD_HEADER_BYTES + int.from_bytes(data[at + 11 : at + 13], "big")
        if at > start and end - start > MTU_BYTES:
            out.append(data[start:at])
            start = at
        at = end
    if start < len(data):
        out.append(data[start:])
    return out
