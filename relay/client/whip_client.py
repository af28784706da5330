"""WHIP client (RFC 9725): publishes one audio and one video stream."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from relay.client.http_session import DEFAULT_TIMEOUT_S
from relay.client.media_client import ClientHandler, MediaClient
from relay.client.offered import VideoCodec, publisher_media
from relay.transport.port import MediaPort


class WhipClient(MediaClient):
    """A publisher's session. ssrcs: kind → (media SSRC, RTX SSRC or None) to send with. rids: of
    the layers that it has, richest first; `layers` has their SSRCs, and `negotiation` says which
    of them the server takes (none: the richest alone).

    After `connect`, `negotiation` says payload types and extension ids; send with `send_rtp`.
    """

    def __init__(
        self,
        port: MediaPort,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        handler: ClientHandler,
        *,
        video: VideoCodec | None = "h264",
        audio: bool = True,
        rids: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        media, self.ssrcs = publisher_media(video, audio, rids)
        self.layers = next((m.layers for m in media if m.kind == "video"), ())
        super().__init__(port, http, url, token, handler, media, timeout_s=timeout_s)
