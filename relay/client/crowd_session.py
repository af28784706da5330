"""A WHEP session of a crowd's viewer: whole signalling, ICE and DTLS, but media by headers."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import AsyncGenerator

import aiohttp

from relay.client.crowd_socket import CrowdSockets
from relay.client.errors import BadAnswerError, MediaTimeoutError
from relay.client.events import read_events
from relay.client.http_session import DEFAULT_TIMEOUT_S
from relay.client.leg import Leg
from relay.client.negotiate import Negotiated, negotiate
from relay.client.offered import viewer_media
from relay.client.sse import ServerEvent
from relay.client.traced_session import TracedSession
from relay.core.negotiation import PublisherNegotiation
from relay.transport.candidate import Candidate
from relay.transport.certificate import DtlsCertificate
from relay.transport.dtls import DtlsContext, DtlsSession, DtlsState
from relay.transport.ice import IceCredentials, Path
from relay.transport.ice_controlling import ControllingAgent
from relay.transport.srtp import PeerSrtp, SrtpError, SrtpScratch
from relay.transport.srtp_profile import PROFILES
from relay.transport.stun import BINDING_REQUEST, StunError, parse_stun

MEDIA_TIMEOUT_S = 6.0
STEP_S = 0.02
"""Timers' step while a session comes up; afterwards the crowd's tick is enough."""


class CrowdIdentity:
    """What all viewers of a crowd share: certificate, DTLS settings, room for one packet."""

    def __init__(self) -> None:
        certificate = DtlsCertificate.generate()
        self.fingerprint: str = certificate.fingerprint
        self.dtls = DtlsContext(certificate)
        self.scratch = SrtpScratch()
        self.sockets = CrowdSockets()


class CrowdSession:
    """A ViewerSession and a CrowdMember."""

    def __init__(
        self,
        identity: CrowdIdentity,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        leg: Leg,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        shun: str = "",
    ) -> None:
        self._identity = identity
        self._client = http
        self._http = TracedSession(http, url, token, timeout_s=timeout_s, shun=shun)
        self._leg = leg
        self._socket: socket.socket | None = None
        self._agent: ControllingAgent | None = None
        self._dtls: DtlsSession | None = None
        self._srtp: PeerSrtp | None = None
        self._settled = asyncio.Event()
        self.negotiation = PublisherNegotiation(())
        self.malformed = 0
        self.send_errors = 0

    @property
    def rtt_ms(self) -> float | None:
        return None if self._agent is None else self._agent.rtt_ms

    @property
    def origin(self) -> str:
        """Where the last request went."""
        return self._http.origin

    def events(self) -> AsyncGenerator[ServerEvent, None]:
        """The node's events; empty if it offers none. Raises ClientError."""
        return read_events(self._client, self._http)

    async def connect(self) -> None:
        """POST, checks, DTLS. Raises ClientError."""
        agreed = await negotiate(self._http, self._identity.fingerprint, viewer_media())
        self.negotiation = agreed.answer.negotiation
        self._leg.begin(self.negotiation)
        self._open_path(agreed)
        deadline = time.monotonic() + MEDIA_TIMEOUT_S
        while not self._settled.is_set() and time.monotonic() < deadline:
            self.on_tick(_now_ms())
            try:
                await asyncio.wait_for(self._settled.wait(), STEP_S)
            except TimeoutError:
                continue
        if self._srtp is None:
            raise MediaTimeoutError(
                "the server answers, but no media path comes up (is UDP blocked?)"
            )

    async def close(self) -> None:
        """Say goodbye by DTLS and DELETE. Raises ClientError if DELETE fails."""
        if self._dtls is not None:
            self._dtls.close()
            self._flush()
        if self._socket is not None:
            self._identity.sockets.release(self._socket)
            self._socket = None
        if self._srtp is not None:
            self._srtp.close()
            self._srtp = None
        await self._http.delete()

    def send_rtcp(self, packet: bytes) -> None:
        if self._srtp is not None:
            self._send(self._identity.scratch.seal(self._srtp, packet, rtcp=True), self._remote)

    def on_train(self, data: memoryview, size: int, segment: int, now_ms: float) -> None:
        """Count packets by their headers; RTCP, a few a second, is opened."""
        leg = self._leg
        reception = leg.reception
        if reception is None or self._srtp is None:
            return
        before = reception.wire_bytes
        rtcp = reception.on_train(data, size, segment, now_ms)
        if reception.wire_bytes != before:
            leg.on_arrival(now_ms)
        for at, length in rtcp:
            self._on_srtcp(self._srtp, bytes(data[at : at + length]), now_ms)

    def on_refused(self) -> None:
        """ICMP: nobody listens at the node's port."""
        self._leg.on_refused()

    def on_control(self, data: bytes, source: tuple[str, int], now_ms: float) -> None:
        """STUN or DTLS (RFC 7983)."""
        if self._agent is None or self._dtls is None:
            return
        if data[0] < 4:
            self._on_stun(self._agent, data, Path(source, ""), now_ms)
        elif 20 <= data[0] <= 63:
            self._dtls.feed(data, now_ms)
        self.on_tick(now_ms)

    def on_tick(self, now_ms: float) -> None:
        """Checks and retransmissions that are due, and what the handshake has come to."""
        if self._agent is None or self._dtls is None:
            return
        if now_ms >= self._agent.next_check_ms():
            for datagram, path in self._agent.poll(now_ms):
                self._send(datagram, path.remote)
        if self._agent.selected is not None and self._dtls.state is DtlsState.NEW:
            self._dtls.start(now_ms)
        if now_ms >= self._dtls.next_deadline_ms():
            self._dtls.on_deadline(now_ms)
        self._flush()
        self._follow(self._dtls)

    @property
    def _remote(self) -> tuple[str, int] | None:
        path = None if self._agent is None else self._agent.selected
        return None if path is None else path.remote

    def _open_path(self, agreed: Negotiated) -> None:
        answer = agreed.answer
        family, remotes = usable_addresses(answer.candidates)
        now_ms = _now_ms()
        credentials = IceCredentials(agreed.local_ufrag, agreed.local_pwd, answer.ufrag, answer.pwd)
        self._agent = ControllingAgent(credentials, now_ms)
        for remote in remotes:
            self._agent.add_candidate(remote, now_ms)
        self._dtls = DtlsSession(self._identity.dtls, answer.dtls_role, answer.fingerprints)
        self._socket = self._identity.sockets.open(family, self)

    def _on_stun(self, agent: ControllingAgent, data: bytes, path: Path, now_ms: float) -> None:
        try:
            message = parse_stun(data)
        except StunError:
            self.malformed += 1
            return
        if message.kind == BINDING_REQUEST:
            outcome = agent.on_request(message, path, now_ms)
            if outcome is not None:
                self._send(outcome.reply, path.remote)
        else:
            agent.on_response(message, path, now_ms)

    def _follow(self, dtls: DtlsSession) -> None:
        if dtls.state is DtlsState.CONNECTED and self._srtp is None and dtls.result is not None:
            profile = next(p for p in PROFILES if p.name == dtls.result.profile)
            self._srtp = PeerSrtp(profile, dtls.result.keys)
            self._settled.set()
            self._follow_path()
        elif dtls.state is DtlsState.CLOSED:
            self._settled.set()
            self._leg.on_lost()

    def _on_srtcp(self, srtp: PeerSrtp, packet: bytes, now_ms: float) -> None:
        try:
            clear = self._identity.scratch.open(srtp, packet, rtcp=True)
        except SrtpError:
            self.malformed += 1
            return
        self._leg.on_rtcp(clear, now_ms)

    def _follow_path(self) -> None:
        """A connected socket hears of ICMP errors."""
        if self._socket is None or self._remote is None:
            return
        try:
            self._socket.connect(self._remote)
        except OSError:
            self.send_errors += 1

    def _flush(self) -> None:
        if self._dtls is not None and self._remote is not None:
            for datagram in self._dtls.take():
                self._send(datagram, self._remote)

    def _send(self, datagram: bytes, remote: tuple[str, int] | None) -> None:
        if self._socket is None or remote is None:
            return
        try:
            self._socket.sendto(datagram, remote)
        except OSError as error:
            # Full buffer, no route, ICMP of an earlier packet: all of it is repeated anyway.
            self.send_errors += 1
            if error.errno == errno.ECONNREFUSED:
                self._leg.on_refused()


def usable_addresses(
    candidates: tuple[Candidate, ...],
) -> tuple[int, list[tuple[str, int]]]:
    """Address family and UDP addresses to try, preferred first; IPv4 if there is any.

    Raises BadAnswerError if there is none.
    """
    ordered = sorted(candidates, key=lambda candidate: -candidate.priority)
    addresses = [c.address for c in ordered if c.address is not None]
    for family, mark in ((socket.AF_INET, "."), (socket.AF_INET6, ":")):
        chosen = [address for address in addresses if mark in address[0]]
        if chosen:
            return family, chosen
    raise BadAnswerError("the answer has no UDP candidate")


def _now_ms() -> float:
    return time.monotonic() * 1000
