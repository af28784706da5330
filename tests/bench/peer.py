"""One WebRTC transport of a bench client: nominating checks, DTLS-SRTP, keys; no socket inside.

Cheap on purpose: one certificate for every peer of the process, no state that a check does not
need. The owner feeds datagrams and calls `poll` while `connected` is False.
"""

from __future__ import annotations

import os
import secrets
import string
import time
from collections.abc import Callable

import pylibsrtp
from OpenSSL import SSL

from tests.bench import stun
from tests.bench.certificate import Certificate
from tests.bench.sdp import Remote

CHECK_INTERVAL_S = 0.05
FLIGHT_INTERVAL_S = 0.05
"""Browsers repeat an unanswered DTLS flight after 50 ms, OpenSSL by itself after a second."""
_PROFILES = {
    b"SRTP_AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    b"SRTP_AES128_CM_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
}
_ICE_CHARACTERS = string.ascii_letters + string.digits


def ice_string(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARACTERS) for _ in range(length))


class Peer:
    """Controlling ICE agent and DTLS peer towards one server address.

    send: sends one datagram to `remote_address`. profile: the SRTP profile once connected.
    checked_ns, connected_ns: CLOCK_REALTIME of the first good check and of the end of DTLS.
    """

    def __init__(self, certificate: Certificate, send: Callable[[bytes], None]) -> None:
        self.local_ufrag, self.local_pwd = ice_string(8), ice_string(24)
        self.remote_address: tuple[str, int] | None = None
        self.connected = False
        self.profile = ""
        self.checked_ns = 0
        self.connected_ns = 0
        self.outbound: pylibsrtp.Session | None = None
        self.inbound: pylibsrtp.Session | None = None
        self._certificate = certificate
        self._send = send
        self._tie_breaker = os.urandom(8)
        self._remote: Remote | None = None
        self._ssl: SSL.Connection | None = None
        self._last_check_s = 0.0
        self._flight: list[bytes] = []
        self._flight_s = 0.0

    def start(self, remote: Remote, now_s: float) -> None:
        """Begin checks towards the server of this offer or answer."""
        self._remote = remote
        self.remote_address = remote.address
        self._check(now_s)

    def poll(self, now_s: float) -> None:
        """Repeat what got no answer yet."""
        if self._remote is None or self.connected:
            return
        if self._ssl is None:
            if now_s - self._last_check_s >= CHECK_INTERVAL_S:
                self._check(now_s)
        elif now_s - self._flight_s >= FLIGHT_INTERVAL_S:
            self._flight_s = now_s
            for datagram in self._flight:
                self._send(datagram)

    def check_consent(self, now_s: float) -> None:
        """RFC 7675: show the server that this peer still wants media."""
        self._check(now_s)

    def on_stun(self, datagram: bytes) -> None:
        kind = stun.message_type(datagram)
        if kind == stun.BINDING_SUCCESS and self._ssl is None and self._remote is not None:
            self.checked_ns = time.time_ns()
            self._start_dtls(self._remote)
        elif kind == stun.BINDING_REQUEST and self.remote_address is not None:
            self._send(stun.check_response(datagram, self.remote_address, self.local_pwd))

    def on_dtls(self, datagram: bytes) -> None:
        """Raises SSL.Error when the handshake fails."""
        if self._ssl is None:
            return
        self._ssl.bio_write(datagram)
        if self.connected:
            return  # close_notify, or a repeated last flight
        self._handshake()

    def _check(self, now_s: float) -> None:
        assert self._remote is not None
        self._last_check_s = now_s
        username = f"{self._remote.ufrag}:{self.local_ufrag}"
        self._send(stun.check_request(username, self._remote.pwd, self._tie_breaker))

    def _start_dtls(self, remote: Remote) -> None:
        self._ssl = SSL.Connection(self._certificate.context, None)
        self._ssl.set_ciphertext_mtu(1200)
        if remote.setup == "active":
            self._ssl.set_accept_state()
        else:
            self._ssl.set_connect_state()
        self._handshake()

    def _handshake(self) -> None:
        assert self._ssl is not None
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        self._flush()
        self._derive_keys(self._ssl)

    def _flush(self) -> None:
        """Send what OpenSSL wrote, and remember it: it is sent again if nothing comes back."""
        assert self._ssl is not None
        flight = []
        while True:
            try:
                flight.append(self._ssl.bio_read(1500))
            except SSL.WantReadError:
                break
        for datagram in flight:
            self._send(datagram)
        if flight:
            self._flight, self._flight_s = flight, time.monotonic()

    def _derive_keys(self, ssl: SSL.Connection) -> None:
        name = ssl.get_selected_srtp_profile()
        profile, key_bytes, salt_bytes = _PROFILES[name]
        material = ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key_bytes + salt_bytes))
        assert self._remote is not None
        client_index = 1 if self._remote.setup == "active" else 0
        keys = [
            material[i * key_bytes : (i + 1) * key_bytes]
            + material[2 * key_bytes + i * salt_bytes : 2 * key_bytes + (i + 1) * salt_bytes]
            for i in (0, 1)
        ]
        policy = pylibsrtp.Policy
        self.outbound = pylibsrtp.Session(
            policy(keys[client_index], policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        )
        self.inbound = pylibsrtp.Session(
            policy(keys[1 - client_index], policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        )
        self.profile = name.decode()
        self.connected = True
        self.connected_ns = time.time_ns()
