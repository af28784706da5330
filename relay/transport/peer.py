"""One WebRTC transport of a port: ICE, DTLS and SRTP joined, over the port's socket.

Order of life: a valid check gives a path → DTLS over it → SRTP keyed → connected. `close` ends it
from any point, once, and frees everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Protocol

from relay.core.drops import DropReason
from relay.transport.candidate import Candidate
from relay.transport.counters import PortCounters
from relay.transport.dtls import DtlsContext, DtlsSession, DtlsState
from relay.transport.ice import IceAgent, IceCredentials, Path
from relay.transport.ice_controlling import ControllingAgent
from relay.transport.newest import Newest
from relay.transport.parameters import CloseReason, DtlsRole, IceRole, PeerHandler, PeerParameters
from relay.transport.srtp import PeerSrtp, SrtpError, SrtpScratch
from relay.transport.srtp_profile import PROFILES_BY_NAME
from relay.transport.stun import BINDING_REQUEST, StunMessage

__all__ = ["CloseReason", "DtlsRole", "IceRole", "Peer", "PeerHandler", "PeerParameters"]

MAX_EARLY_PACKETS = 32
"""Media that arrives before the handshake is through: kept, and opened once there are keys."""
MAX_SSRCS = 64
"""Streams that libsrtp keeps state for, per peer."""
_PROFILES = {profile.name: profile for profile in PROFILES_BY_NAME.values()}


class PeerHost(Protocol):
    """The port as its peers see it."""

    counters: PortCounters
    scratch: SrtpScratch

    def transmit(self, peer: Peer, data: bytes, path: Path) -> None: ...

    def on_paths_changed(self, peer: Peer) -> None: ...

    def on_keyed(self, peer: Peer, srtp: PeerSrtp) -> None: ...

    def connect(self, peer: Peer, address: tuple[str, int]) -> None:
        """Open a TCP connection; answered by on_stream_open or on_connect_failed."""

    def on_closed(self, peer: Peer) -> None:
        """Before the peer frees its sessions."""

    def on_deadline_changed(self, peer: Peer) -> None: ...

    def tell(self, function: Callable[..., None], *args: object) -> None:
        """Call a handler; its failure is reported and stays its own."""

    def now_ms(self) -> float: ...


class Peer:
    """A transport from its first check to its close. Made by MediaPort.add_peer.

    index: small integer that names it in SendBatch. handler: its owner.
    """

    def __init__(
        self,
        host: PeerHost,
        index: int,
        parameters: PeerParameters,
        handler: PeerHandler,
        context: DtlsContext,
        consent_timeout_ms: float,
        now_ms: float,
    ) -> None:
        self.index = index
        self.handler = handler
        self.connected = False
        self.closed = False
        self.srtp_profile: str | None = None
        self.scheduled_ms = math.inf
        self.known_paths: frozenset[Path] = frozenset()
        """What the port has entered for this peer; kept by the port."""
        self.known_ufrags: frozenset[str] = frozenset()
        self.entered_path: Path | None = None
        self.opens_media = parameters.open_media
        self.voice_ssrcs = parameters.voice_ssrcs
        self._host = host
        self._srtp: PeerSrtp | None = None
        self._early: list[bytes] = []
        self._ssrcs: set[bytes] = set()
        self._newest: Newest | None = None
        make_agent = ControllingAgent if parameters.ice_role == "controlling" else IceAgent
        self.ice: IceAgent = make_agent(
            IceCredentials(
                parameters.local_ufrag,
                parameters.local_pwd,
                parameters.remote_ufrag,
                parameters.remote_pwd,
            ),
            now_ms,
            consent_timeout_ms,
        )
        if isinstance(self.ice, ControllingAgent):
            self.ice.tcp_only = parameters.tcp_only
        self._dtls = DtlsSession(context, parameters.dtls_role, parameters.remote_fingerprints)
        for candidate in parameters.remote_candidates:
            self._add_candidate(candidate, now_ms)

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """Where media goes; None before the first check."""
        return None if self.ice.selected is None else self.ice.selected.remote

    @property
    def rtt_ms(self) -> float | None:
        """Round trip of our checks; None in the lite role, which sends none."""
        return self.ice.rtt_ms

    @property
    def transport(self) -> Literal["udp", "tcp"]:
        """What media goes over; "udp" before the first check."""
        selected = self.ice.selected
        return "tcp" if selected is not None and selected.stream else "udp"

    def send_rtp(self, packet: bytes) -> None:
        """Seal and send one packet; before the keys are there it is a counted drop."""
        self._send_media(packet, rtcp=False)

    def send_rtcp(self, packet: bytes) -> None:
        """Seal and send a compound RTCP packet."""
        self._send_media(packet, rtcp=True)

    def add_remote_candidate(self, candidate: Candidate) -> None:
        """Trickle. A lite agent learns addresses from checks, so there it changes nothing."""
        if not self.closed:
            self._add_candidate(candidate, self._host.now_ms())
            self._run_checks(self._host.now_ms())

    def restart_ice(
        self, local_ufrag: str, local_pwd: str, remote_ufrag: str, remote_pwd: str
    ) -> None:
        """New credentials; the old ones and the path live on until a check with these comes."""
        if not self.closed:
            self.ice.restart(IceCredentials(local_ufrag, local_pwd, remote_ufrag, remote_pwd))
            self._host.on_paths_changed(self)
            self._run_checks(self._host.now_ms())

    def close(self, reason: CloseReason = CloseReason.LOCAL) -> None:
        """DTLS close_notify, everything freed, the handler told before this returns."""
        if self.closed:
            return
        self.closed = True
        self.connected = False
        self._dtls.close()
        self._send_dtls()
        self._host.on_closed(self)
        if self._srtp is not None:
            self._srtp.close()
            self._srtp = None
        self._early.clear()
        self._ssrcs.clear()
        self._host.tell(self.handler.on_peer_closed, self, reason)

    # -- called by the port

    def begin(self, now_ms: float) -> None:
        """Send the first checks, when ours is the role to send them."""
        self._run_checks(now_ms)

    def on_stun(self, message: StunMessage, path: Path, now_ms: float, *, movable: bool) -> bool:
        """A check for one of our ufrags, or an answer to a check of ours. False: not genuine."""
        if message.kind == BINDING_REQUEST:
            outcome = self.ice.on_request(message, path, now_ms, movable=movable)
            if outcome is None:
                return False
            self._host.transmit(self, outcome.reply, path)
            valid = outcome.valid
        else:
            valid = isinstance(self.ice, ControllingAgent) and self.ice.on_response(
                message, path, now_ms
            )
        if valid:
            self._host.on_paths_changed(self)
            if self.ice.selected is not None:
                self._dtls.start(now_ms)
                self._send_dtls()
        self._run_checks(now_ms)
        return valid or message.kind == BINDING_REQUEST

    def on_dtls(self, datagram: bytes, now_ms: float) -> None:
        """A DTLS datagram over a known path."""
        if not self._dtls.feed(datagram, now_ms):
            self._host.counters.drops[DropReason.MALFORMED_DTLS] += 1
            return
        self._after_dtls()

    def open(self, data: bytes, *, rtcp: bool, now_ms: float) -> bytes | None:
        """SRTP or SRTCP to clear; None for a counted drop or a packet that waits for keys."""
        drops = self._host.counters.drops
        if self._srtp is None:
            if len(self._early) < MAX_EARLY_PACKETS and self._dtls.state is DtlsState.HANDSHAKE:
                self._early.append(data)
            else:
                drops[DropReason.SRTP_NOT_KEYED] += 1
            return None
        ssrc = data[4:8] if rtcp else data[8:12]
        if ssrc not in self._ssrcs and len(self._ssrcs) >= MAX_SSRCS:
            drops[DropReason.TOO_MANY_SOURCES] += 1
            return None
        try:
            clear = self._host.scratch.open(self._srtp, data, rtcp=rtcp)
        except SrtpError as error:
            drops[error.drop] += 1
            return None
        self._ssrcs.add(ssrc)
        if self._newest is not None:
            self._newest.note(data, rtcp=rtcp)
        self.ice.touch(now_ms)
        return clear

    @property
    def follows(self) -> bool:
        """It is keyed and waits for checks: its address may be learned from its media too."""
        return self._newest is not None

    def ahead(self, data: bytes, *, rtcp: bool) -> int:
        """By how many packets this would be newer than all before it; 0: it is not, or has an SSRC
        that never came, or addresses are not followed here."""
        return 0 if self._newest is None else self._newest.ahead(data, rtcp=rtcp)

    def silent_ms(self, now_ms: float) -> float:
        """How long the peer has given no sign of life; 0 before the first."""
        life_ms = self.ice.last_life_ms
        return 0.0 if life_ms is None else now_ms - life_ms

    def open_from(self, data: bytes, path: Path, *, rtcp: bool, now_ms: float) -> bytes | None:
        """A packet from an address that is not known yet. If it opens, media goes there from now
        on; None, and nothing changes, if it does not."""
        if self._srtp is None:
            return None
        try:
            clear = self._host.scratch.open(self._srtp, data, rtcp=rtcp)
        except SrtpError:
            return None
        if self._newest is not None:
            self._newest.note(data, rtcp=rtcp)
        self.ice.follow(path, now_ms)
        self._host.on_paths_changed(self)
        self._host.on_deadline_changed(self)
        return clear

    def take_early(self) -> list[bytes]:
        """Packets that waited for keys."""
        early, self._early = self._early, []
        return early

    def on_path_lost(self) -> None:
        """Another peer has proved to be at one of our addresses."""
        self._host.on_paths_changed(self)

    def on_stream_open(self, path: Path) -> bool:
        """A connection that we asked for is there. False if it is not wanted any more."""
        if not isinstance(self.ice, ControllingAgent):
            return False
        now_ms = self._host.now_ms()
        wanted = self.ice.on_stream_open(path, now_ms)
        self._run_checks(now_ms)
        return wanted

    def on_connect_failed(self, address: tuple[str, int]) -> None:
        """A connection that we asked for cannot be had."""
        if isinstance(self.ice, ControllingAgent):
            now_ms = self._host.now_ms()
            self.ice.on_connect_failed(address, now_ms)
            self._run_checks(now_ms)

    def on_stream_closed(self, path: Path) -> None:
        """One of our connections has ended; the session lives until consent does."""
        if not self.closed:
            now_ms = self._host.now_ms()
            self.ice.on_stream_closed(path, now_ms)
            self._host.on_paths_changed(self)
            self._run_checks(now_ms)

    def next_deadline_ms(self) -> float:
        """When `on_deadline` is due."""
        if self.closed:
            return math.inf
        due = min(self._dtls.next_deadline_ms(), self._expires_ms())
        if isinstance(self.ice, ControllingAgent):
            due = min(due, self.ice.next_check_ms())
        return due

    def on_deadline(self, now_ms: float) -> None:
        """Expire, check again, send again."""
        if self._expires_ms() <= now_ms:
            self.close(
                CloseReason.CONSENT_EXPIRED if self.connected else CloseReason.NEVER_CONNECTED
            )
            return
        if self._dtls.next_deadline_ms() <= now_ms:
            self._dtls.on_deadline(now_ms)
            self._after_dtls()
        if not self.closed:
            self._run_checks(now_ms)

    # -- inside

    def _expires_ms(self) -> float:
        """Consent once connected; before that the first-contact time bounds ICE and DTLS both."""
        if self.connected:
            return self.ice.expires_ms()
        return self.ice.created_ms + self.ice.first_contact_ms

    def _add_candidate(self, candidate: Candidate, now_ms: float) -> None:
        if not isinstance(self.ice, ControllingAgent):
            return
        if candidate.address is not None:
            self.ice.add_candidate(candidate.address, now_ms)
        elif candidate.stream_address is not None:
            self.ice.add_stream_candidate(candidate.stream_address, now_ms)

    def _run_checks(self, now_ms: float) -> None:
        if isinstance(self.ice, ControllingAgent):
            for data, path in self.ice.poll(now_ms):
                self._host.transmit(self, data, path)
            for address in self.ice.connects_due(now_ms):
                self._host.connect(self, address)
        self._host.on_deadline_changed(self)

    def _send_media(self, packet: bytes, *, rtcp: bool) -> None:
        path = self.ice.selected
        if self._srtp is None or path is None:
            self._host.counters.drops[DropReason.SRTP_NOT_KEYED] += 1
            return
        try:
            data = self._host.scratch.seal(self._srtp, packet, rtcp=rtcp)
        except SrtpError as error:
            self._host.counters.drops[error.drop] += 1
            return
        self._host.transmit(self, data, path)

    def _send_dtls(self) -> None:
        path = self.ice.selected
        for datagram in self._dtls.take():
            if path is not None:
                self._host.transmit(self, datagram, path)

    def _after_dtls(self) -> None:
        self._send_dtls()
        if self._dtls.state is DtlsState.CLOSED:
            self.close(self._dtls.close_reason or CloseReason.PEER_CLOSED)
            return
        result = self._dtls.result
        if result is not None and not self.connected:
            profile = _PROFILES[result.profile]
            self._srtp = PeerSrtp(profile, result.keys)
            if not isinstance(self.ice, ControllingAgent):
                self._newest = Newest(profile.rtcp_tag_behind_bytes)
            self.srtp_profile = result.profile
            self.connected = True
            self._dtls.result = None
            self._host.on_keyed(self, self._srtp)
        self._host.on_deadline_changed(self)
