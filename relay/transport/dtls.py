"""DTLS for SRTP keys (RFC 5764), sans-I/O over OpenSSL's memory BIO.

Feed datagrams with `receive`, send what `take_datagrams` returns, call `on_deadline` when
`next_deadline_ms` has passed, read `state`. OpenSSL's first retransmission comes after a second;
as a client we repeat our flight sooner, because some publishers ignore the first ClientHello.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from relay.transport.certificate import DtlsCertificate, format_digest

MTU_BYTES = 1200
FIRST_REPEAT_MS = 150.0
MAX_REPEAT_MS = 1600.0
HANDSHAKE_TIMEOUT_MS = 30_000.0
EXTRACTOR = b"EXTRACTOR-dtls_srtp"

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha-256": hashes.SHA256,
    "sha-384": hashes.SHA384,
    "sha-512": hashes.SHA512,
}
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)


@dataclass(frozen=True)
class SrtpProfile:
    """A DTLS-SRTP protection profile (RFC 5764 section 4.1.2, RFC 7714). Sizes in bytes."""

    name: str
    key_bytes: int
    salt_bytes: int


PROFILES = (
    SrtpProfile("SRTP_AEAD_AES_128_GCM", 16, 12),
    SrtpProfile("SRTP_AEAD_AES_256_GCM", 32, 12),
    SrtpProfile("SRTP_AES128_CM_SHA1_80", 16, 14),
)
"""Preferred first: AES-GCM costs half of AES-CM with HMAC; its 128-bit form is the one that
every stack with GCM has."""


@dataclass(frozen=True)
class SrtpKeys:
    """Master key + salt of each direction, as libsrtp takes them."""

    profile: SrtpProfile
    local: bytes
    remote: bytes


class DtlsState(StrEnum):
    """CONNECTING until keyed; CLOSED by either side's close_notify; FAILED otherwise."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    CLOSED = "closed"
    FAILED = "failed"


class DtlsContext:
    """The shared OpenSSL context of a certificate."""

    def __init__(self, certificate: DtlsCertificate) -> None:
        self.certificate = certificate
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate.certificate)
        context.use_privatekey(certificate.key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(b":".join(p.name.encode() for p in PROFILES))
        self.ssl = context


class DtlsEndpoint:
    """One handshake and its keys. remote_fingerprints: (algorithm, "AA:BB…") from the SDP."""

    def __init__(
        self,
        context: DtlsContext,
        role: Literal["server", "client"],
        remote_fingerprints: tuple[tuple[str, str], ...],
        now_ms: float,
    ) -> None:
        self.state = DtlsState.CONNECTING
        self.failure = ""
        self.keys: SrtpKeys | None = None
        self._role = role
        self._fingerprints = remote_fingerprints
        self._started_ms = now_ms
        self._repeat_ms = FIRST_REPEAT_MS
        self._deadline_ms = float("inf")
        self._flight: list[bytes] = []
        self._out: list[bytes] = []
        self._ssl = SSL.Connection(context.ssl)
        self._ssl.set_ciphertext_mtu(MTU_BYTES)
        if role == "client":
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()

    def start(self, now_ms: float) -> None:
        """The path is open: a client says hello."""
        self._deadline_ms = now_ms + self._repeat_ms
        if self._role == "client":
            self._advance(now_ms)

    def receive(self, datagram: bytes, now_ms: float) -> None:
        """Take a datagram from the peer; junk is ignored (RFC 6347 section 4.1.2.7)."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return
        self._ssl.bio_write(datagram)
        if self.state is DtlsState.CONNECTING:
            self._advance(now_ms)
        if self.state is DtlsState.CONNECTED:
            self._read()

    def take_datagrams(self) -> list[bytes]:
        """Datagrams to send now."""
        out, self._out = self._out, []
        return out

    def next_deadline_ms(self) -> float:
        """When `on_deadline` must be called; infinity once connected."""
        return self._deadline_ms if self.state is DtlsState.CONNECTING else float("inf")

    def on_deadline(self, now_ms: float) -> None:
        """Repeat our last flight (RFC 6347 section 4.2.4)."""
        if self.state is not DtlsState.CONNECTING or now_ms < self._deadline_ms:
            return
        if now_ms - self._started_ms > HANDSHAKE_TIMEOUT_MS:
            self._fail("handshake timed out")
            return
        self._out += self._flight
        self._repeat_ms = min(MAX_REPEAT_MS, self._repeat_ms * 2)
        self._deadline_ms = now_ms + self._repeat_ms

    def close(self) -> None:
        """Send close_notify if we were connected."""
        if self.state is DtlsState.CONNECTED:
            try:
                self._ssl.shutdown()
            except SSL.Error:
                self.failure = "close_notify could not be written"
            self._drain_bio()
        if self.state is not DtlsState.FAILED:
            self.state = DtlsState.CLOSED

    def _advance(self, now_ms: float) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            self._keep_flight(now_ms)
            return
        except SSL.Error as error:
            self._drain_bio()
            self._fail(f"handshake failed: {_reason(error)}")
            return
        self._keep_flight(now_ms)
        self._finish()

    def _keep_flight(self, now_ms: float) -> None:
        flight = self._drain_bio()
        if flight:
            self._flight = flight
            self._repeat_ms = FIRST_REPEAT_MS
            self._deadline_ms = now_ms + self._repeat_ms

    def _finish(self) -> None:
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None or not self._trusted(certificate):
            self._fail("certificate does not match the fingerprint of the SDP")
            return
        selected = self._ssl.get_selected_srtp_profile().decode()
        profile = next((p for p in PROFILES if p.name == selected), None)
        if profile is None:
            self._fail("no SRTP profile in common")
            return
        key, salt = profile.key_bytes, profile.salt_bytes
        material = self._ssl.export_keying_material(EXTRACTOR, 2 * (key + salt))
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        local, remote = (client, server) if self._role == "client" else (server, client)
        self.keys = SrtpKeys(profile, local, remote)
        self.state = DtlsState.CONNECTED

    def _trusted(self, certificate: object) -> bool:
        matches = False
        for algorithm, value in self._fingerprints:
            hash_type = _HASHES.get(algorithm.lower())
            if hash_type is not None:
                digest = format_digest(certificate.fingerprint(hash_type()))  # type: ignore[attr-defined]
                matches |= hmac.compare_digest(digest.encode(), value.upper().encode())
        return matches

    def _read(self) -> None:
        """Only alerts are of interest: there is no data channel."""
        try:
            while True:
                self._ssl.recv(2048)
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self._fail(f"alert: {_reason(error)}")
        # A repeated flight of the peer makes OpenSSL repeat our last one.
        self._drain_bio()

    def _drain_bio(self) -> list[bytes]:
        taken: list[bytes] = []
        while True:
            try:
                data = self._ssl.bio_read(8192)
            except SSL.Error:
                break
            taken += _split_records(data)
        self._out += taken
        return taken

    def _fail(self, reason: str) -> None:
        self.state = DtlsState.FAILED
        self.failure = reason


def _split_records(data: bytes) -> list[bytes]:
    """Group DTLS records into datagrams of at most MTU_BYTES."""
    datagrams: list[bytes] = []
    current = b""
    at = 0
    while at + 13 <= len(data):
        end = at + 13 + int.from_bytes(data[at + 11 : at + 13], "big")
        record = data[at:end]
        if current and len(current) + len(record) > MTU_BYTES:
            datagrams.append(current)
            current = b""
        current += record
        at = end
    if current:
        datagrams.append(current)
    return datagrams


def _reason(error: SSL.Error) -> str:
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][0][-1])
    return type(error).__name__
