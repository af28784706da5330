"""The relay tier as a hub has it: everything of this room, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware

from hub.config import HubConfig
from hub.relays.desk import Desk
from hub.relays.fleet import Fleet
from hub.relays.layer_pins import LayerPins
from hub.relays.link_endpoint import LinkEndpoint
from hub.relays.mirror import Mirror
from hub.relays.placing_node import REQUEST_SCHEME, PlacingNode, base_url
from hub.relays.probe import Prober
from hub.relays.registry import Relay, RelayRegistry, RelayState
from hub.relays.tickets import TicketOffice
from hub.relays.whip_pass import WhipPass
from hub.revocation import Revocations
from hub.store.interface import Store
from hub.tokens import TokenIssuer
from relay.control.messages import Directory, Revoked, Welcome
from relay.node.media_node import MediaNode
from relay.node.pull import PullSettings
from relay.node.upstreams import Upstreams
from relay.signalling.auth import TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import Handler
from relay.signalling.rate_limit import RateLimiter
from relay.transport.parameters import CloseReason

EMBEDDED_ID = "hub"
LOOK_S = 0.25
TOKEN_HOURS = 24 * 365

log = logging.getLogger(__name__)


class RelayTier:
    """own_url: of this hub as relays and viewers reach it, known once its ports are open."""

    def __init__(
        self,
        config: HubConfig,
        node: MediaNode,
        events: EventHub,
        issuer: TokenIssuer,
        verifier: TokenVerifier,
        revocations: Revocations,
        http: aiohttp.ClientSession,
        store: Store,
        *,
        own_url: Callable[[], str],
    ) -> None:
        self.registry = RelayRegistry()
        self.registry.set_affinity(config.placement.affinity)
        self._config = config
        self._node = node
        self._issuer = issuer
        self._revocations = revocations
        self._own_url = own_url
        self._clock = node.port.now_ms
        self._upstreams = Upstreams()
        self._directories: dict[str, Directory] = {}
        office = TicketOffice(issuer)
        self.placing = PlacingNode(
            node,
            self.registry,
            office,
            chosen=self._chosen,
            clock=self._clock,
            max_viewers_per_commune=config.media.max_viewers_per_commune,
        )
        layers = LayerPins(node, self.registry, on_choice=self._on_choice)
        self.desk = Desk(
            self.registry,
            self.placing,
            events,
            node.snapshot,
            hub_url=own_url,
            on_choice=self._on_choice,
            layers=layers,
            clock=self._clock,
        )
        self.mirror = Mirror(
            store,
            self.registry,
            self.desk,
            revocations,
            clock=self._clock,
            changed=self._on_change,
        )
        self.fleet = Fleet(node, self.registry, self._clock)
        self.endpoint = LinkEndpoint(
            self.registry,
            verifier,
            welcome=self._welcome,
            directory=self._directory,
            on_change=self._on_change,
            clock=self._clock,
        )
        self.whip = WhipPass(
            http,
            self._origin_urls,
            lambda session: node.session(session) is not None,
            limiter=RateLimiter(config.http.requests_per_second, config.http.request_burst),
            public_url=config.http.public_url,
        )
        self._prober = Prober(self.registry, http, self._clock)
        token = issuer.issue("relay", EMBEDDED_ID, "*", TOKEN_HOURS * 3600)
        node.pull_from(PullSettings(EMBEDDED_ID, token, self._upstreams, http))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Its tasks beside the body."""
        work: list[Coroutine[Any, Any, None]] = [
            self._prober.run(),
            self.desk.run(),
            self._keep_told(),
            self.mirror.run(),
        ]
        tasks = [asyncio.create_task(one) for one in work]
        for task in tasks:
            task.add_done_callback(_report_failure)
        try:
            yield
        finally:
            await self.endpoint.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def tell_revoked(self, owner: str, until_ns: int) -> None:
        """Every node ends what was taken back."""
        for stream in self._node.streams.values():
            for viewer in tuple(stream.viewers.values()):
                if self._revocations.is_revoked(viewer.owner):
                    viewer.peer.close(CloseReason.DELETED)
        for relay in self.registry.relays():
            relay.send(Revoked(owner=owner, until_ns=until_ns))

    # -- what relays are told

    def _welcome(self) -> Welcome:
        return Welcome(
            streams=self._config.stream.names,
            public_keys=(self._issuer.public_pem(),),
            keep_warm=self._config.placement.keep_warm,
            revoked=self._revocations.all(),
            layer_pins=self.desk.layers.messages(),
        )

    def _directory(self, relay_id: str) -> Directory:
        origins = self._origin_urls()
        if not origins or any(
            s.on_air.state == "on_air" and not s.lineage for s in self._streams()
        ):
            origins = [*origins, self._own_url()]
        others = [r for r in self._ready() if r.id != relay_id and r.hello.role == "relay"]
        directory = Directory(
            origins=tuple(origins), relays=(*(base_url(r) for r in others), self._own_url())
        )
        self._directories[relay_id] = directory
        return directory

    def _streams(self) -> Sequence[Any]:
        return list(self._node.streams.values())

    def _ready(self) -> list[Relay]:
        now_ms = self._clock()
        relays = self.registry.relays()
        return [r for r in relays if r.state_at(now_ms) is RelayState.READY]

    def _origin_urls(self) -> list[str]:
        return [r.hello.base_url for r in self.registry.origins(self._clock())]

    def _chosen(self, commune: str) -> str | None:
        return self.desk.pins.get(commune)

    def _on_choice(self) -> None:
        self._on_change()
        self.mirror.note_choice()

    def _on_change(self) -> None:
        """Tell each relay whose directory is another now; pull from the origins ourselves."""
        self._upstreams.set(self._origin_urls())
        for relay in self.registry.relays():
            before = self._directories.get(relay.id)
            after = self._directory(relay.id)
            if after != before:
                relay.send(after)

    async def _keep_told(self) -> None:
        """States change by time alone too."""
        while True:
            self._on_change()
            await asyncio.sleep(LOOK_S)


@web.middleware
async def note_scheme(request: web.Request, handler: Handler) -> web.StreamResponse:
    """For placement: whether the request came over TLS."""
    REQUEST_SCHEME.set("https" if request.scheme == "https" else "http")
    return await handler(request)


NOTE_SCHEME: Middleware = note_scheme


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a task of the relay tier failed", exc_info=task.exception())
