"""Relays that pull, in this process, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from relay.node.pull import PullSettings
from relay.node.upstreams import Upstreams
from tests.integration.media_server import STREAM, MediaServer, media_server


@asynccontextmanager
async def relay_of(
    *upstreams: MediaServer, node_id: str = "relay-1", linger_ms: float = 300.0, **config: object
) -> AsyncIterator[MediaServer]:
    """A media server that pulls from others; it trusts the first one's tokens."""
    first = upstreams[0]
    async with (
        media_server(key=first.key, id=node_id, takes_publishers=False, **config) as server,
        aiohttp.ClientSession() as http,
    ):
        pull(server, [u.base_url for u in upstreams], http, linger_ms=linger_ms)
        yield server


def pull(
    server: MediaServer, urls: Sequence[str], http: aiohttp.ClientSession, *, linger_ms: float
) -> None:
    """Make a node pull from these."""
    node_id = server.node.config.id
    token = server.token("relay", node_id, "*")
    server.node.pull_from(PullSettings(node_id, token, Upstreams(urls), http, linger_ms))


async def until_pulling(server: MediaServer, timeout_s: float = 5.0) -> None:
    """Until the main stream comes from upstream."""
    server.node.pulls[STREAM].warm = True
    await server.on_air(timeout_s)
