"""A relay or origin process: node, HTTP application, link to the hub, end.

It serves with what it knows: keys, streams, origins and revocations are kept in a file, so that a
relay starts and works while the hub is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import aiohttp
import psutil
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from prometheus_client import CollectorRegistry

from relay.control.link import FromHub, HubLink
from relay.control.memory import HubMemory
from relay.control.messages import (
    Beat,
    Close,
    Directory,
    Drain,
    Hello,
    Keyframe,
    LayerPin,
    Move,
    Report,
    Revoked,
    Welcome,
)
from relay.control.revoked_tokens import RevokedTokens
from relay.node.config import MediaNodeConfig
from relay.node.drain import Drainer
from relay.node.garbage import settle
from relay.node.health import open_addresses
from relay.node.media_node import MediaNode
from relay.node.metrics import MediaNodeCollector
from relay.node.pull import PullSettings, PullState
from relay.node.server_http import RelayHttp
from relay.node.upstreams import Upstreams
from relay.signalling.auth import TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import SignallingConfig, signalling_routes

MEMORY_FILE = "hub.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RelaySettings:
    """One process. upstreams: empty takes the origins that the hub names. metrics_open_to:
    addresses that need no token."""

    id: str
    hub_url: str
    token: str
    data_dir: Path
    role: Literal["relay", "origin"] = "relay"
    upstreams: tuple[str, ...] = ()
    capacity: int = 500
    affinity: tuple[str, ...] = ()
    keep_warm: tuple[str, ...] = ()
    drain_s: float = 20.0
    linger_ms: float = 15_000.0
    metrics_open_to: tuple[str, ...] = ()


class RelayServer:
    """A running relay. base_url, https_url: as others reach it, set before `start_link`.
    stopping: set when it has been told to end."""

    def __init__(
        self,
        settings: RelaySettings,
        node: MediaNode,
        events: EventHub,
        http: aiohttp.ClientSession,
        signalling: SignallingConfig,
    ) -> None:
        self.node = node
        self.base_url = ""
        self.https_url = ""
        self.stopping = asyncio.Event()
        self._settings = settings
        self._events = events
        self._instance = secrets.token_hex(8)
        self._memory_file = settings.data_dir / MEMORY_FILE
        self._memory = HubMemory.load(self._memory_file)
        self._revoked = RevokedTokens(self._memory.revoked)
        self._verifier = TokenVerifier(
            _keys(self._memory.public_keys), self._revoked.is_revoked, node_id=settings.id
        )
        self._process = psutil.Process()
        self._cpu = 0.0
        self._upstreams = Upstreams(settings.upstreams or self._memory.origins)
        self._tasks: set[asyncio.Task[None]] = set()
        self._drainer = Drainer(
            node, events, limit_s=settings.drain_s, places=self._places, linked=lambda: self.linked
        )
        self._drain_task: asyncio.Task[None] | None = None
        self._link = (
            HubLink(settings.hub_url, settings.token, http, self) if settings.hub_url else None
        )
        if settings.role == "relay":
            pulls = PullSettings(
                settings.id, settings.token, self._upstreams, http, settings.linger_ms
            )
            node.pull_from(pulls)
        self._know_streams()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(MediaNodeCollector(node))
        http_api = RelayHttp(
            self._verifier,
            registry,
            open_addresses(settings.metrics_open_to),
            reasons=self.reasons,
            drain=lambda: self.drain(leave=True),
        )
        self.routes: tuple[web.RouteDef, ...] = (
            *signalling_routes(node, events, self._verifier, signalling),
            *http_api.routes(),
        )

    @property
    def linked(self) -> bool:
        """Whether the link to the hub stands."""
        return self._link is not None and self._link.linked

    def start_link(self) -> None:
        """Tell the hub that we serve."""
        if self._link is not None:
            self._spawn(self._link.run())

    def reasons(self) -> list[str]:
        """Why viewers should not be sent here; empty when they may be."""
        reasons = []
        if self.node.draining:
            reasons.append("The relay is draining.")
        if not self._memory.public_keys:
            reasons.append("The hub has not told its keys yet.")
        lost = [n for n, p in self.node.pulls.items() if p.state == PullState.LOST]
        if lost:
            reasons.append(f"No upstream serves {', '.join(sorted(lost))}.")
        return reasons

    def drain(self, *, leave: bool) -> None:
        """Send everybody elsewhere. leave: then end the process."""
        if self._drain_task is None:
            self._drain_task = asyncio.create_task(self._drain())
            self._tasks.add(self._drain_task)
        if leave:
            self._drain_task.add_done_callback(lambda _: self.stopping.set())

    async def close(self) -> None:
        """End the link and all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- LinkOwner

    def hello(self) -> Hello:
        """Who we are."""
        settings = self._settings
        return Hello(
            id=settings.id,
            instance=self._instance,
            role=settings.role,
            version=version("wardcast"),
            pid=os.getpid(),
            base_url=self.base_url,
            https_url=self.https_url,
            media_port=self.node.port.port,
            media_addresses=tuple(
                c.host for c in self.node.port.candidates if c.transport == "udp"
            ),
            capacity=settings.capacity,
            affinity=settings.affinity,
        )

    def beat(self) -> Beat:
        """That we live."""
        states = [pull.state for pull in self.node.pulls.values()]
        told = next((s for s in states if s != PullState.NONE), PullState.NONE)
        return Beat(
            viewers=self.node.commune_viewers(),
            ready=not self.reasons(),
            draining=self.node.draining,
            cpu=self._cpu,
            lag_ms=self.node.lag.recent()[1],
            upstream=told.value,
        )

    def report(self) -> Report:
        """Everything that can be seen."""
        self._cpu = self._process.cpu_percent() / 100
        return Report(snapshot=self.node.snapshot())

    def on_message(self, message: FromHub) -> None:
        """What the hub says."""
        match message:
            case Welcome():
                self._welcome(message)
            case Directory():
                self._remember(origins=message.origins, relays=message.relays)
                if not self._settings.upstreams:
                    self._upstreams.set(message.origins)
            case Revoked():
                self.revoke(message.owner, message.until_ns)
            case Move():
                self._events.session_event(message.session, "reconnect", {"url": message.url})
            case Close():
                session = self.node.session(message.session)
                if session is not None:
                    self._spawn(session.close())
            case Keyframe():
                self.node.request_keyframes(message.stream)
            case Drain():
                self.drain(leave=message.exit)
            case LayerPin():
                self.node.pin_layer(message.commune, message.rid)

    # -- inside

    def _welcome(self, message: Welcome) -> None:
        self._remember(
            streams=message.streams, public_keys=message.public_keys, keep_warm=message.keep_warm
        )
        self._verifier.set_keys(_keys(message.public_keys))
        for owner, until_ns in message.revoked.items():
            self.revoke(owner, until_ns)
        self._know_streams()
        self.node.set_layer_pins({p.commune: p.rid for p in message.layer_pins if p.rid})

    def _know_streams(self) -> None:
        self.node.add_streams(self._memory.streams)
        self.node.keep_warm((*self._settings.keep_warm, *self._memory.keep_warm))

    def revoke(self, owner: str, until_ns: int) -> None:
        """Tokens of `owner` made until then are void; sessions made with them end."""
        self._revoked.add(owner, until_ns)
        self._remember(revoked=dict(self._revoked.until_ns))
        for stream in self.node.streams.values():
            for viewer in tuple(stream.viewers.values()):
                if self._revoked.is_revoked(viewer.owner):
                    self._spawn(viewer.close())

    def _remember(self, **news: object) -> None:
        after = self._memory.model_copy(update=news)
        if after != self._memory:
            self._memory = after
            after.save(self._memory_file)

    def _places(self) -> Sequence[str]:
        """Where our viewers may go: the hub knows best who lives."""
        return (self._settings.hub_url,) if self.linked else self._memory.relays

    async def _drain(self) -> None:
        self.node.draining = True
        if self._link is not None:
            self._link.hurry()
        await self._drainer.run()

    def _spawn(self, work: object) -> None:
        if not asyncio.iscoroutine(work):
            raise TypeError("not a coroutine")
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the relay failed", exc_info=task.exception())


@contextlib.asynccontextmanager
async def running_relay(
    settings: RelaySettings,
    media: MediaNodeConfig,
    signalling: SignallingConfig,
    http: aiohttp.ClientSession,
) -> AsyncIterator[RelayServer]:
    """Open the media port; leaving the context ends every session. Raises OSError."""
    events = EventHub()
    node = await MediaNode.open(media, events)
    server = RelayServer(settings, node, events, http, signalling)
    settle()
    try:
        yield server
    finally:
        await server.close()
        await node.close()


def _keys(pems: Sequence[str]) -> list[Ed25519PublicKey]:
    """Keys of tokens; one that cannot be read is left out."""
    found = []
    for pem in pems:
        try:
            key = load_pem_public_key(pem.encode())
        except ValueError:
            log.warning("a public key of the hub cannot be read")
            continue
        if isinstance(key, Ed25519PublicKey):
            found.append(key)
    return found
