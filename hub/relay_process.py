"""What `wardcast relay` runs: one relay, or a supervisor of several workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import aiohttp
from aiohttp import web

from hub.api.forwarded import forwarded
from hub.config import HubConfig
from hub.listeners import Listeners
from hub.relays.presence import Presence
from hub.signalling import signalling_config, turn_servers
from hub.store.opening import open_store
from hub.supervisor import Child, stop_all
from relay.node.config import MediaNodeConfig
from relay.node.server import RelayServer, RelaySettings, running_relay

TOKEN_VARIABLE = "WARDCAST_RELAY_TOKEN"  # noqa: S105  the variable's name, not a token
SHUTDOWN_S = 2.0
KEEPALIVE_S = 15.0


class RelayConfigError(ValueError):
    """A relay that cannot be started so; the text names key and remedy."""


def read_relay_token(config: HubConfig) -> str:
    """The relay token. Raises RelayConfigError."""
    path = config.relay.token_file
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise RelayConfigError(f"relay.token_file: {path}: {error.strerror}") from error
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise RelayConfigError(
            f"a relay needs its token: relay.token_file or ${TOKEN_VARIABLE} "
            "(wardcast token issue --scope relay --subject <id>)"
        )
    return token


def check(config: HubConfig) -> None:
    """Raises RelayConfigError, ConfigError for what a relay cannot do without."""
    if not config.relay.hub and not config.relay.upstreams:
        raise RelayConfigError(
            "a relay needs relay.hub (--hub URL), or relay.upstreams to pull from"
        )
    if config.relay.origin and config.relay.upstreams:
        raise RelayConfigError(
            "relay.origin and relay.upstreams exclude each other: an origin pulls nothing"
        )
    read_relay_token(config)
    turn_servers(config.turn, os.environ)


async def run_relay(config: HubConfig) -> None:
    """Until SIGTERM or SIGINT: viewers are moved first; a second signal ends at once."""
    async with serving_relay(config) as server:
        loop = asyncio.get_running_loop()
        asked = 0

        def on_signal() -> None:
            nonlocal asked
            asked += 1
            if asked == 1:
                server.drain(leave=True)
            else:
                server.stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        await server.stopping.wait()


@contextlib.asynccontextmanager
async def serving_relay(config: HubConfig) -> AsyncIterator[RelayServer]:
    """A relay with its ports open. Raises OSError, TlsError, RelayConfigError, ConfigError."""
    token = read_relay_token(config)
    async with contextlib.AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(ssl=_tls_client(config.relay.ca_file), limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        settings = _settings(config, token)
        signalling = signalling_config(config, os.environ)
        server = await stack.enter_async_context(
            running_relay(settings, _media(config, settings.id), signalling, http)
        )
        app = web.Application(middlewares=[forwarded(config.http.trusted_proxies)])
        app.add_routes(list(server.routes))
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=KEEPALIVE_S
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        listeners = Listeners(config.http, config.data_dir)
        await listeners.open(runner)
        server.base_url = listeners.viewer_url()
        server.https_url = _https_url(config, listeners)
        server.start_link()
        if config.store.redis:
            store = open_store(config.store)
            stack.push_async_callback(store.close)
            await stack.enter_async_context(_beside(Presence(store, server).run()))
        yield server


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the body; cancelled and awaited at its end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def run_workers(config: HubConfig, arguments: list[str]) -> None:
    """One process a core under one supervisor; ids and ports are counted up."""
    workers = [_worker(config, number, arguments) for number in range(1, config.relay.workers + 1)]
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    for worker in workers:
        await worker.start()
    try:
        await stopped.wait()
    finally:
        await stop_all(workers)


def relay_id(config: HubConfig) -> str:
    """The id of the configuration, or one made of machine and port."""
    return config.relay.id or f"{socket.gethostname().split('.')[0]}-{config.http.port}"


def _worker(config: HubConfig, number: int, arguments: list[str]) -> Child:
    http, media = config.http, config.media
    environment = {
        "WARDCAST_RELAY__WORKERS": "1",
        "WARDCAST_RELAY__ID": f"{relay_id(config)}-{number}",
        "WARDCAST_HTTP__PORT": str(http.port + number - 1 if http.port else 0),
        "WARDCAST_HTTP__TLS_PORT": str(http.tls_port + number - 1 if http.tls_port else 0),
        "WARDCAST_MEDIA__PORT": str(media.port + number - 1 if media.port else 0),
        "WARDCAST_MEDIA__TCP_PORT": str(media.tcp_port + number - 1 if media.tcp_port else 0),
        # The extra port is a well-known one: only one process can have it.
        "WARDCAST_MEDIA__TCP_EXTRA_PORT": str(media.tcp_extra_port if number == 1 else 0),
        "WARDCAST_DATA_DIR": str(config.data_dir / f"worker-{number}"),
    }
    return Child(
        f"worker {number}",
        [sys.executable, "-m", "hub.cli.main", "relay", *arguments],
        environment=environment,
        stop_s=config.relay.drain_seconds + 3,
    )


def _settings(config: HubConfig, token: str) -> RelaySettings:
    relay = config.relay
    return RelaySettings(
        id=relay_id(config),
        hub_url=relay.hub,
        token=token,
        data_dir=config.data_dir,
        role="origin" if relay.origin else "relay",
        upstreams=relay.upstreams,
        capacity=relay.capacity,
        affinity=relay.affinity,
        keep_warm=relay.keep_warm,
        drain_s=relay.drain_seconds,
        linger_ms=relay.linger_seconds * 1000,
        metrics_open_to=config.metrics.open_to,
    )


def _media(config: HubConfig, node_id: str) -> MediaNodeConfig:
    media = config.media
    return MediaNodeConfig(
        streams=config.stream.names,
        media_port=media.port,
        addresses=media.addresses,
        announced=media.announced,
        tcp=media.tcp,
        tcp_port=media.tcp_port,
        tcp_extra_port=media.tcp_extra_port,
        max_viewers=min(media.max_viewers, config.relay.capacity),
        max_viewers_per_commune=media.max_viewers_per_commune,
        takeover_ms=media.takeover_seconds * 1000,
        consent_timeout_ms=media.consent_seconds * 1000,
        video_budget_bps=media.video_budget_kbps * 1000,
        id=node_id,
        takes_publishers=config.relay.origin,
    )


def _https_url(config: HubConfig, listeners: Listeners) -> str:
    """Only a real certificate is worth a redirect: a self-made one would be refused unasked."""
    if config.http.public_url.startswith("https://"):
        return config.http.public_url
    if config.http.tls != "files" or listeners.https_port is None:
        return ""
    remote = listeners.remote_urls()
    return remote[0] if remote else ""


def _tls_client(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise RelayConfigError(f"relay.ca_file: {ca_file} cannot be used: {error}") from error
