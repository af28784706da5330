"""WHEP client (draft-ietf-wish-whep): a viewer, or a relay that pulls from its upstream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

import aiohttp

from relay.client.events import read_events
from relay.client.http_session import DEFAULT_TIMEOUT_S
from relay.client.media_client import ClientHandler, MediaClient
from relay.client.offered import viewer_media
from relay.client.sse import ServerEvent
from relay.transport.port import MediaPort


class WhepClient(MediaClient):
    """A viewer's session: clear RTP comes to `handler.on_rtp`.

    After `connect`, `negotiation` has the shape that `PublisherIngest` takes: the server's codecs,
    extension ids and SSRCs.
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
        headers: Mapping[str, str] | None = None,
        all_layers: bool = False,
    ) -> None:
        media = viewer_media(all_layers=all_layers)
        super().__init__(
            port, http, url, token, handler, media, timeout_s=timeout_s, headers=headers
        )
        self._client_http = http

    def events(self) -> AsyncGenerator[ServerEvent, None]:
        """active, inactive and reconnect, until the stream ends; empty if it is not offered.

        Raises ClientError.
        """
        return read_events(self._client_http, self.http)
