"""What a WHIP and a WHEP client share: one HTTP session and one controlling peer.

A client lives for one session: `connect` once, `close` once. Coming back after a loss is the
caller's loop (`relay.client.reconnect`), because only the caller knows what silence means.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from typing import Protocol

import aiohttp

from relay.client.errors import BadAnswerError, MediaTimeoutError
from relay.client.http_session import DEFAULT_TIMEOUT_S, HttpSession
from relay.core.negotiation import PublisherNegotiation
from relay.signalling.client_offer import ClientAnswer, OfferedMedia, build_offer, parse_answer
from relay.transport.peer import CloseReason, Peer, PeerParameters
from relay.transport.port import MediaPort

MEDIA_TIMEOUT_S = 6.0
"""ICE and DTLS must be up this long after the answer."""
_ICE_ALPHABET = string.ascii_letters + string.digits


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
    `connect` is through; `closed_reason` once the peer has ended.
    """

    def __init__(
        self,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        handler: ClientHandler,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._port = port
        self._handler = handler
        self._peer: Peer | None = None
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()
        self._ufrag, self._pwd = _ice_credentials()
        self.http = HttpSession(http, url, token, timeout_s=timeout_s)
        self.negotiation = PublisherNegotiation(())
        self.closed_reason: CloseReason | None = None

    @property
    def connected(self) -> bool:
        return self._peer is not None and self._peer.connected

    @property
    def rtt_ms(self) -> float | None:
        """Round trip of the ICE checks."""
        return None if self._peer is None else self._peer.rtt_ms

    async def connect(self) -> None:
        """POST the offer, then ICE and DTLS. Raises ClientError; `close` is due in any case."""
        answer = await self._negotiate()
        self.negotiation = answer.negotiation
        self._peer = self._port.add_peer(self._parameters(answer), self)
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
                "the server answers, but no media path comes up (is UDP blocked?)"
            )

    async def wait_closed(self, timeout_s: float) -> bool:
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
        if self._peer is not None and self._peer.connected:
            self._peer.send_rtp(packet)

    def send_rtcp(self, packet: bytes) -> None:
        if self._peer is not None and self._peer.connected:
            self._peer.send_rtcp(packet)

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

    def _offered_media(self) -> tuple[OfferedMedia, ...]:
        raise NotImplementedError

    async def _negotiate(self) -> ClientAnswer:
        offer = build_offer(
            ufrag=self._ufrag,
            pwd=self._pwd,
            fingerprint=self._port.fingerprint,
            media=self._offered_media(),
        )
        try:
            return parse_answer(offer, await self.http.post_offer(offer))
        except ValueError as error:
            raise BadAnswerError(f"the server's answer cannot be used: {error}") from error

    def _parameters(self, answer: ClientAnswer) -> PeerParameters:
        return PeerParameters(
            local_ufrag=self._ufrag,
            local_pwd=self._pwd,
            remote_ufrag=answer.ufrag,
            remote_pwd=answer.pwd,
            remote_fingerprints=answer.fingerprints,
            dtls_role=answer.dtls_role,
            ice_role="controlling",
            remote_candidates=answer.candidates,
        )


def _ice_credentials() -> tuple[str, str]:
    """ufrag and password (RFC 8839 section 5.4)."""
    letters = [secrets.choice(_ICE_ALPHABET) for _ in range(32)]
    return "".join(letters[:8]), "".join(letters[8:])
