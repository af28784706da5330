"""A media node behind real WHIP and WHEP endpoints, for tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from relay.node.config import MediaNodeConfig
from relay.node.media_node import MediaNode
from relay.signalling.auth import ALGORITHM, AUDIENCE, TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import SignallingConfig, signalling_routes

STREAM = "phien-hop"


@dataclass
class MediaServer:
    """A running node; `http` is a session to speak to it with."""

    node: MediaNode
    base_url: str
    http: aiohttp.ClientSession
    key: Ed25519PrivateKey
    events: EventHub

    def token(self, scope: str, subject: str, stream: str = STREAM) -> str:
        now = int(time.time())
        claims = {
            "scope": scope,
            "sub": subject,
            "stream": stream,
            "jti": f"{scope}-{subject}",
            "iat": now,
            "exp": now + 600,
            "aud": AUDIENCE,
        }
        return jwt.encode(claims, self.key, algorithm=ALGORITHM)

    @property
    def whip_url(self) -> str:
        return f"{self.base_url}/whip/{STREAM}"

    @property
    def whep_url(self) -> str:
        return f"{self.base_url}/whep/{STREAM}"

    async def on_air(self, timeout_s: float = 10.0) -> None:
        """Until the stream has media."""
        subscription = self.events.subscribe("test", STREAM, frozenset({"active"}))
        while not self.node.streams[STREAM].codecs_on_air():
            assert await subscription.wait(timeout_s), "nothing went on air"
        self.events.unsubscribe(subscription)

    async def post(self, url: str, token: str, sdp: str) -> aiohttp.ClientResponse:
        """POST an offer; the response is read."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        response = await self.http.post(url, data=sdp, headers=headers)
        await response.read()
        return response


@asynccontextmanager
async def media_server(
    key: Ed25519PrivateKey | None = None, **config: object
) -> AsyncIterator[MediaServer]:
    """Start a node on free ports and stop it again. key: signs its tokens."""
    events = EventHub()
    settings: dict[str, object] = {"streams": (STREAM, "idle"), **config}
    node = await MediaNode.open(MediaNodeConfig(**settings), events)  # type: ignore[arg-type]
    key = key or Ed25519PrivateKey.generate()
    app = web.Application()
    app.add_routes(
        signalling_routes(node, events, TokenVerifier([key.public_key()]), SignallingConfig())
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as http:
            yield MediaServer(node, f"http://127.0.0.1:{port}", http, key, events)
    finally:
        await node.close()
        await runner.cleanup()
