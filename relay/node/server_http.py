"""A relay's HTTP beside WHIP and WHEP: health, readiness, metrics, drain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from relay.node.health import Address, is_open_to
from relay.signalling.auth import InvalidToken, TokenVerifier, bearer_token
from relay.signalling.http import guarded
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RelayHttp:
    """reasons: why the relay cannot serve now, empty when it can. drain: begins to empty it."""

    def __init__(
        self,
        verifier: TokenVerifier,
        registry: CollectorRegistry,
        open_to: frozenset[Address],
        *,
        reasons: Callable[[], list[str]],
        drain: Callable[[], None],
    ) -> None:
        self._verifier = verifier
        self._registry = registry
        self._open_to = open_to
        self._reasons = reasons
        self._drain = drain

    def routes(self) -> list[web.RouteDef]:
        """To be added to an application."""
        limiter = RateLimiter(200.0, 400.0)
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/healthz", self.healthz),
            ("GET", "/readyz", self.readyz),
            ("GET", "/metrics", self.metrics),
            ("POST", "/api/relay/drain", self.drain),
        )
        return [web.route(m, path, guarded(handler, limiter)) for m, path, handler in table]

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        """GET: 200 because the event loop has come here."""
        return web.json_response({"status": "ok"})

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        """GET: 200 when viewers can be served, 503 with the reasons if not."""
        reasons = self._reasons()
        if reasons:
            return web.json_response({"status": "not ready", "reasons": reasons}, status=503)
        return web.json_response({"status": "ready"})

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """GET: for an `operate` token, and for the addresses of `metrics.open_to`."""
        if not is_open_to(request, self._open_to):
            self._require_operator(request)
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(self._registry))
        response.headers["Content-Type"] = content_type
        return response

    async def drain(self, request: web.Request) -> web.StreamResponse:
        """POST, `operate`: 202; viewers are moved, then the process ends."""
        self._require_operator(request)
        self._drain()
        return web.json_response({"status": "draining"}, status=202)

    def _require_operator(self, request: web.Request) -> None:
        try:
            grant = self._verifier.verify(bearer_token(request.headers.get("Authorization")))
        except InvalidToken as error:
            challenge = {"WWW-Authenticate": 'Bearer realm="wardcast"'}
            raise HttpProblem(401, str(error), challenge) from error
        if grant.scope != "operate":
            raise HttpProblem(403, f"This token is for '{grant.scope}', not for this.")
