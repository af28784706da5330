"""A watcher's session through a media port of its own: everything decrypted."""

from __future__ import annotations

import aiohttp
from yarl import URL

from relay.client.watcher import Watcher
from relay.client.whep_client import WhepClient
from relay.core.negotiation import PublisherNegotiation
from relay.transport.parameters import CloseReason
from relay.transport.peer import Peer
from relay.transport.port import MediaPort


class PortSession(WhepClient):
    """A WhepClient that owns its port and feeds a Watcher."""

    def __init__(
        self,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        watcher: Watcher,
    ) -> None:
        super().__init__(port, http, url, token, watcher)
        self._watcher = watcher

    @classmethod
    async def open(
        cls, http: aiohttp.ClientSession, url: str, token: str | None, watcher: Watcher
    ) -> PortSession:
        # The light port is IPv4 only; a server named by an IPv6 address wants the whole one.
        light = ":" not in (URL(url).host or "")
        return cls(await MediaPort.open(port=0, client=light), http, url, token, watcher)

    def on_negotiated(self, negotiation: PublisherNegotiation) -> None:
        self._watcher.begin(negotiation)

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        super().on_peer_closed(peer, reason)
        self._watcher.on_lost()

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            await self._port.close()
