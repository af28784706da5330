"""The hub process: origin, embedded relay, pages and API in one event loop."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from hub.config import HubConfig
from hub.links import Links, make_links
from hub.listeners import Listeners
from hub.revocation import Revocations
from hub.roster import Roster
from hub.store.memory import MemoryStore
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key
from relay.node.config import MediaNodeConfig
from relay.node.media_node import MediaNode
from relay.signalling.auth import TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import SignallingConfig, signalling_routes

SHUTDOWN_S = 2.0

log = logging.getLogger(__name__)


@dataclass
class Hub:
    """A running hub."""

    config: HubConfig
    roster: Roster
    node: MediaNode
    listeners: Listeners
    links: Links


@contextlib.asynccontextmanager
async def running_hub(config: HubConfig) -> AsyncIterator[Hub]:
    """Start a hub; leaving the context stops it: viewers see DTLS close_notify at once.

    Raises OSError when a port is taken, and the errors of roster, key and TLS files.
    """
    roster = Roster.load(config.roster)
    issuer = TokenIssuer(load_or_create_key(config.data_dir / KEY_FILE))
    revocations = Revocations(MemoryStore())
    verifier = TokenVerifier([issuer.public_key], revocations.is_revoked)
    events = EventHub()
    node = await MediaNode.open(_media_config(config), events)
    app = web.Application()
    app.add_routes(signalling_routes(node, events, verifier, _signalling_config(config)))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    listeners = Listeners(config.http, config.data_dir)
    try:
        await listeners.open(runner)
        links = make_links(config, roster, issuer, listeners.base_url())
        yield Hub(config, roster, node, listeners, links)
    finally:
        await node.close()
        await runner.cleanup()


def _media_config(config: HubConfig) -> MediaNodeConfig:
    media = config.media
    return MediaNodeConfig(
        streams=config.stream.names,
        media_port=media.port,
        addresses=media.addresses,
        announced=media.announced,
        max_viewers=media.max_viewers,
        max_viewers_per_commune=media.max_viewers_per_commune,
        takeover_ms=media.takeover_seconds * 1000,
        consent_timeout_ms=media.consent_seconds * 1000,
        video_budget_bps=media.video_budget_kbps * 1000,
    )


def _signalling_config(config: HubConfig) -> SignallingConfig:
    return SignallingConfig(
        public_url=config.http.public_url.rstrip("/"),
        rate=config.http.requests_per_second,
        burst=config.http.request_burst,
    )
