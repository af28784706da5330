"""A viewer's session through a media port of its own: everything decrypted."""

from __future__ import annotations

import aiohttp
from yarl import URL

from relay.client.http_session import DEFAULT_TIMEOUT_S
from relay.client.leg import Leg
from relay.client.traced_session import TracedSession
from relay.client.whep_client import WhepClient
from relay.core.negotiation import PublisherNegotiation
from relay.transport.parameters import CloseReason
from relay.transport.peer import Peer
from relay.transport.port import MediaPort


class PortSession(WhepClient):
    """A WhepClient that owns its port and feeds a leg."""

    http: TracedSession

    def __init__(
        self,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        leg: Leg,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        shun: str = "",
    ) -> None:
        super().__init__(port, http, url, token, leg)
        self.http = TracedSession(http, url, token, timeout_s=timeout_s, shun=shun)
        self._leg = leg

    @property
    def origin(self) -> str:
        """Where the last request went."""
        return self.http.origin

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        leg: Leg,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        shun: str = "",
        tcp_only: bool = False,
    ) -> PortSession:
        """Raises OSError when no port can be had."""
        # The light port is IPv4 only; a server named by an IPv6 address wants the whole one.
        light = ":" not in (URL(url).host or "")
        port = await MediaPort.open(port=0, client=light)
        session = cls(port, http, url, token, leg, timeout_s=timeout_s, shun=shun)
        session.tcp_only = tcp_only
        return session

    def on_negotiated(self, negotiation: PublisherNegotiation) -> None:
        self._leg.begin(negotiation)

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        super().on_peer_closed(peer, reason)
        self._leg.on_lost()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._port.close()
