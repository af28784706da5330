"""What a WHIP and a WHEP client share: one HTTP session and one controlling peer.

A client lives for one session: `connect` once, `close` once. Coming back after a loss is the
caller's loop (`relay.client.reconnect`), because only the caller knows what silence means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import aiohttp

from relay.client.errors import BadAnswerError, MediaTimeoutError
from relay.client.http_session import DEFAULT_TIMEOUT_S, HttpSession
from relay.client.negotiate import Negotiated, negotiate, new_credentials
from relay.core.negotiation import PublisherNegotiation
from relay.signalling.client_offer import OfferedMedia
from relay.signalling.offer import SdpError, parse_fragment
from relay.transport.parameters import CloseReason
from relay.transport.peer import Peer
from relay.transport.port import MediaPort

MEDIA_TIMEOUT_S = 6.0
"""ICE and DTLS must be up this long after the answer."""


class ClientHandler(Protocol):
    """What a session brings. All calls come from the event loop."""

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """Clear RTP packets, one call per drained batch; `now_ms` is monotonic."""

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """A clear compound RTCP packet."""


class MediaClient:
    """Base of WhipClient and WhepClient.

    port: carries the media; clients of one server need a port each, since the server tells peers
    apart by address. http: the caller's, with its TLS settings. `negotiation` is there once
    `connect` has the answer; `closed_reason` once the peer has ended.
    """

    def __init__(
        self,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        handler: ClientHandler,
        media: Sequence[OfferedMedia],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._port = port
        self._handler = handler
        self._media = media
        self._peer: Peer | None = None
        self._agreed: Negotiated | None = None
        self.tcp_only = False
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()
        self.http = HttpSession(http, url, token, timeout_s=timeout_s, headers=headers)
        self.negotiation = PublisherNegotiation(())
        self.closed_reason: CloseReason | None = None

    @property
    def connected(self) -> bool:
        return self._peer is not None and self._peer.connected

    @property
    def rtt_ms(self) -> float | None:
        """Round trip of the ICE checks."""
        return None if self._peer is None else self._peer.rtt_ms

    @property
    def transport(self) -> Literal["udp", "tcp"]:
        """What media goes over."""
        return "udp" if self._peer is None else self._peer.transport

    async def connect(self) -> None:
        """POST the offer, then ICE and DTLS. Raises ClientError; `close` is due in any case."""
        self._agreed = await negotiate(self.http, self._port.fingerprint, self._media)
        self.negotiation = self._agreed.answer.negotiation
        self.on_negotiated(self.negotiation)
        self._peer = self._port.add_peer(self._agreed.peer_parameters(tcp_only=self.tcp_only), self)
        waiters = [
            asyncio.create_task(self._connected.wait()),
            asyncio.create_task(self._closed.wait()),
        ]
        try:
            await asyncio.wait(
                waiters, timeout=MEDIA_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for waiter in waiters:
                waiter.cancel()
        if not self._connected.is_set():
            raise MediaTimeoutError(
                "the server answers, but no media path comes up (are UDP and TCP blocked?)"
            )

    async def restart_ice(self) -> None:
        """New credentials by PATCH (RFC 9725 section 4.3.3), e.g. after a change of network.

        Raises ClientError; the session then goes on as it was.
        """
        if self._peer is None or self._agreed is None:
            raise BadAnswerError("the session is not open")
        ufrag, pwd = new_credentials()
        try:
            answer = parse_fragment(await self.http.restart_ice(self._fragment(ufrag, pwd)))
        except SdpError as error:
            raise BadAnswerError(f"the server's fragment cannot be used: {error}") from error
        if not answer.ice_ufrag or not answer.ice_pwd:
            raise BadAnswerError("the server's fragment has no credentials")
        self._peer.restart_ice(ufrag, pwd, answer.ice_ufrag, answer.ice_pwd)
        for candidate in answer.candidates:
            self._peer.add_remote_candidate(candidate)

    async def wait_closed(self, timeout_s: float | None = None) -> bool:
        """True as soon as the peer has ended, False after `timeout_s`."""
        try:
            await asyncio.wait_for(self._closed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """End the session here and at the server. Raises ClientError if DELETE fails."""
        if self._peer is not None and not self._closed.is_set():
            self._peer.close(CloseReason.LOCAL)
        await self.http.delete()

    def send_rtp(self, packet: bytes) -> None:
        """Send a clear RTP packet; nothing happens while the peer is not up."""
        if self._peer is not None and self._peer.connected:
            self._peer.send_rtp(packet)

    def send_rtcp(self, packet: bytes) -> None:
        """Send a clear compound RTCP packet; nothing happens while the peer is not up."""
        if self._peer is not None and self._peer.connected:
            self._peer.send_rtcp(packet)

    def on_negotiated(self, negotiation: PublisherNegotiation) -> None:
        """The answer is there, media may follow at any moment; for subclasses."""

    def on_peer_connected(self, peer: Peer) -> None:
        self._connected.set()

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        self._handler.on_rtp(packets, now_ms)

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        self._handler.on_rtcp(packet, now_ms)

    def on_send_overflow(self, peer: Peer) -> None:
        """The pacer spreads what is sent; what the socket still refuses is repaired by NACK."""

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        self.closed_reason = reason
        self._closed.set()

    def _fragment(self, ufrag: str, pwd: str) -> str:
        """Of the bundle's first section (RFC 8840 section 4.4)."""
        section = self._media[0]
        types = " ".join(str(codec.payload_type) for codec in section.codecs)
        lines = [
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{pwd}",
            "a=group:BUNDLE " + " ".join(str(i) for i in range(len(self._media))),
            f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {types}",
            "a=mid:0",
        ]
        return "\r\n".join(lines) + "\r\n"
