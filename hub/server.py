"""The hub process: origin, embedded relay, pages and API in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from hub.api.context import ApiContext
from hub.api.fallback import problems
from hub.api.forwarded import forwarded
from hub.api.routes import api_routes
from hub.config import HubConfig
from hub.links import Links, make_links
from hub.listeners import Listeners
from hub.relays.tier import EMBEDDED_ID, NOTE_SCHEME, RelayTier
from hub.revocation import REVOCATION_FILE, Revocations
from hub.roster import Roster
from hub.signalling import signalling_config
from hub.store.opening import open_store
from hub.telemetry.telemetry import Telemetry
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key
from relay.node.config import MediaNodeConfig
from relay.node.garbage import settle
from relay.node.media_node import MediaNode
from relay.signalling.auth import TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import signalling_routes

SHUTDOWN_S = 2.0
KEEPALIVE_S = 15.0
"""Also how long a client may take over its request headers."""
LINGERING_S = 2.0
"""How long the rest of a refused body is listened to."""

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

    Raises OSError when a port is taken, and the errors of configuration, roster, key and TLS files.
    """
    answers = signalling_config(config, os.environ, public_url=config.http.public_url)
    roster = Roster.load(config.roster)
    issuer = TokenIssuer(load_or_create_key(config.data_dir / KEY_FILE))
    store = open_store(config.store)
    revocations = Revocations(store, config.data_dir / REVOCATION_FILE)
    verifier = TokenVerifier([issuer.public_key], revocations.is_revoked, node_id=EMBEDDED_ID)
    events = EventHub()
    async with contextlib.AsyncExitStack() as stack:
        # Left in reverse: telemetry notes who was here and ends event streams, then the node tells
        # viewers, then the server stops.
        app = web.Application(
            middlewares=[forwarded(config.http.trusted_proxies), NOTE_SCHEME, problems]
        )
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGERING_S,
        )
        stack.push_async_callback(runner.cleanup)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        node = await MediaNode.open(_media_config(config), events)
        stack.push_async_callback(node.close)
        listeners = Listeners(config.http, config.data_dir)
        tier = RelayTier(
            config,
            node,
            events,
            issuer,
            verifier,
            revocations,
            http,
            store,
            own_url=listeners.viewer_url,
        )
        stack.push_async_callback(store.close)
        revocations.on_revoked = tier.tell_revoked
        await tier.mirror.load()
        telemetry = Telemetry(tier.fleet, roster, config.data_dir, relay_rows=tier.desk.rows)
        context = ApiContext(
            config, tier.fleet, roster, verifier, issuer, revocations, telemetry, tier.desk, node
        )
        signalling = signalling_routes(tier.placing, events, verifier, answers)
        app.add_routes(tier.whip.over(signalling))
        app.add_routes(tier.endpoint.routes())
        app.add_routes(api_routes(context))
        await runner.setup()
        await stack.enter_async_context(_task(telemetry.run()))
        await listeners.open(runner)
        await stack.enter_async_context(tier.running())
        context.base_url = listeners.base_url()
        links = make_links(config, roster, issuer, context.base_url)
        settle()
        yield Hub(config, roster, node, listeners, links)


@contextlib.asynccontextmanager
async def _task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the body; cancelled and awaited at its end."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("telemetry failed", exc_info=task.exception())


def _media_config(config: HubConfig) -> MediaNodeConfig:
    media = config.media
    return MediaNodeConfig(
        streams=config.stream.names,
        media_port=media.port,
        addresses=media.addresses,
        announced=media.announced,
        tcp=media.tcp,
        tcp_port=media.tcp_port,
        tcp_extra_port=media.tcp_extra_port,
        max_viewers=media.max_viewers,
        max_viewers_per_commune=media.max_viewers_per_commune,
        takeover_ms=media.takeover_seconds * 1000,
        consent_timeout_ms=media.consent_seconds * 1000,
        video_budget_bps=media.video_budget_kbps * 1000,
        id=EMBEDDED_ID,
    )
