"""One WHEP session with an upstream, as a feed of the stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

import aiohttp
from yarl import URL

from relay.client.errors import ClientError
from relay.client.whep_client import WhepClient
from relay.core.negotiation import PublisherNegotiation
from relay.node.feed import Feed, FeedCallbacks
from relay.transport.parameters import CloseReason
from relay.transport.peer import Peer
from relay.transport.port import MediaPort

PATH_HEADER = "Wardcast-Path"
LINEAGE_HEADER = "Wardcast-Lineage"
POST_TIMEOUT_S = 4.0
"""An upstream that pulls first needs a moment, and so may the one before it."""


class PullFeed(Feed):
    """url: base URL of the upstream. last_sign_ms: of the last RTP or RTCP packet.

    Made by `open`; `end` may be called at any time and frees everything.
    """

    pulled = True

    def __init__(
        self,
        url: str,
        stream: str,
        port: MediaPort,
        http: aiohttp.ClientSession,
        token: str,
        path: Sequence[str],
        callbacks: FeedCallbacks,
        next_source_number: Callable[[], int],
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.url = url
        self.subject = str(URL(url).origin())
        self.created_ms = port.now_ms()
        self.connected_ms: float | None = None
        self.closed_reason: CloseReason | None = None
        self.last_sign_ms = self.created_ms
        self.last_media_ms: float | None = None
        self.first_media = asyncio.Event()
        self.over = asyncio.Event()
        self.move_to: str | None = None
        self.events_broke = False
        self._port = port
        self._given = (callbacks, next_source_number)
        self.client = _Client(
            self,
            port,
            http,
            f"{url.rstrip('/')}/whep/{stream}",
            token,
            {PATH_HEADER: ", ".join(path)},
        )
        self._events: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        stream: str,
        http: aiohttp.ClientSession,
        token: str,
        path: Sequence[str],
        callbacks: FeedCallbacks,
        next_source_number: Callable[[], int],
    ) -> PullFeed:
        """A feed with a port of its own: an upstream tells its peers apart by address."""
        light = ":" not in (URL(url).host or "")
        port = await MediaPort.open(port=0, client=light)
        return cls(url, stream, port, http, token, path, callbacks, next_source_number)

    async def connect(self) -> None:
        """POST, ICE and DTLS. Raises ClientError; `end` is due in any case."""
        await self.client.connect()
        named = self.client.http.response_headers.get(LINEAGE_HEADER, "")
        ids = tuple(part.strip() for part in named.split(",") if part.strip())
        self.lineage = ids or (self.subject,)
        self._events = asyncio.create_task(self._follow())

    def begin(self, negotiation: PublisherNegotiation) -> None:
        """The answer is there: media may come at any moment."""
        callbacks, next_source_number = self._given
        self.start_feed(
            negotiation,
            now_ms=self._port.now_ms(),
            local_ssrc=secrets.randbits(31) + 1,
            linter=None,
            callbacks=callbacks,
            next_source_number=next_source_number,
        )

    # -- Feed

    def send_rtcp(self, compound: bytes) -> None:
        self.client.send_rtcp(compound)

    def end(self, reason: CloseReason) -> None:
        self.over.set()
        if hasattr(self, "ingest"):
            self.closed(reason)
        if self._closer is None:
            self._closer = asyncio.create_task(self._close())

    @property
    def path_rtt_ms(self) -> float | None:
        return self.client.rtt_ms

    @property
    def packets_received(self) -> int:
        """Datagrams from the upstream."""
        return self._port.counters.packets_in

    @property
    def freed(self) -> bool:
        """It has ended, and nothing of it is left."""
        return self._closer is not None and self._closer.done()

    async def ended(self) -> None:
        """Until everything is freed."""
        if self._closer is not None:
            await asyncio.shield(self._closer)

    # -- ClientHandler

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """A drained batch of clear RTP."""
        self.last_sign_ms = self.last_media_ms = now_ms
        if self.closed_reason is None:
            self.take_rtp(packets, now_ms)
            self.first_media.set()

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """A clear compound."""
        self.last_sign_ms = now_ms
        if self.closed_reason is None:
            self.take_rtcp(packet, now_ms)

    # -- inside

    async def _follow(self) -> None:
        """The upstream's events: it may tell us to go."""
        try:
            async for event in self.client.events():
                if event.name == "reconnect":
                    url = event.data.get("url") if isinstance(event.data, dict) else None
                    self.move_to = url if isinstance(url, str) else ""
        except ClientError:
            pass
        self.events_broke = True

    async def _close(self) -> None:
        if self._events is not None:
            self._events.cancel()
            await asyncio.gather(self._events, return_exceptions=True)
        try:
            await self.client.close()
        except ClientError:
            pass  # The upstream expires what it cannot be told about.
        finally:
            await self._port.close()


class _Client(WhepClient):
    def __init__(
        self,
        feed: PullFeed,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(
            port,
            http,
            url,
            token,
            feed,
            timeout_s=POST_TIMEOUT_S,
            headers=headers,
            all_layers=True,
        )
        self._feed = feed

    def on_negotiated(self, negotiation: PublisherNegotiation) -> None:
        self._feed.begin(negotiation)

    def on_peer_connected(self, peer: Peer) -> None:
        self._feed.connected_ms = self._port.now_ms()
        super().on_peer_connected(peer)

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        super().on_peer_closed(peer, reason)
        self._feed.end(reason)
