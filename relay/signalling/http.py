"""WHIP and WHEP over aiohttp: what RFC 9725 and the WHEP draft ask of a server.

One resource class serves both; they differ in scope, node verb and extensions. A request passes
rate limit, route, token, headers and body in this order, and every refusal is a problem+json.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from typing import Literal
from urllib.parse import quote

from aiohttp import web

from relay.core.line_check import STREAM as LINE_CHECK
from relay.signalling.auth import Forbidden, InvalidToken, TokenVerifier, bearer_token
from relay.signalling.body import read_text, require_type
from relay.signalling.cors import add_cors, is_preflight, options_headers
from relay.signalling.events import EVENT_TYPES, EventHub
from relay.signalling.ice_servers import TurnServers
from relay.signalling.if_match import if_match
from relay.signalling.layer_resource import LAYER_REL, LayerResource
from relay.signalling.node_protocol import (
    Accepted,
    Grant,
    Redirected,
    Refused,
    Scope,
    SignallingNode,
    SignallingSession,
)
from relay.signalling.offer import SdpError, SdpFragment, parse_fragment, parse_offer
from relay.signalling.problem import HttpProblem, problem_response
from relay.signalling.rate_limit import RateLimiter
from relay.signalling.sse import SseResource
from relay.signalling.ticket_book import TicketBook

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
SSE_REL = "urn:ietf:params:whep:ext:core:server-sent-events"

KEY = "key"
PATH_HEADER = "Wardcast-Path"
LINEAGE_HEADER = "Wardcast-Lineage"
MAX_PATH_NODES = 64
_NODE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

MIN_TOKEN_RATE = 2.0
MIN_TOKEN_BURST = 20.0
"""What a token may always do, however small its share: a commune's viewers all join at once."""

# RFC 6750 section 2.3 names the second; redirects of ours carry the first.
_QUERY_TOKENS = ("ticket", "access_token")

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class SignallingConfig:
    """ice_servers: ready Link values (RFC 9725 section 4.6). public_url: origin for Location when
    it cannot be told from the request. rate, burst: requests of one address. token_share: part of
    them that one token may use, so that one runaway page behind a province's NAT leaves room for
    the rest. turn: servers whose credentials are made for each token holder."""

    ice_servers: tuple[str, ...] = ()
    turn: TurnServers | None = None
    public_url: str = ""
    max_body_bytes: int = 64 * 1024
    body_timeout_s: float = 5.0
    rate: float = 50.0
    burst: float = 300.0
    token_share: float = 0.25
    accept_query_token: bool = True
    event_types: tuple[str, ...] = field(default=EVENT_TYPES)


def signalling_routes(
    node: SignallingNode, events: EventHub, verifier: TokenVerifier, config: SignallingConfig
) -> list[web.RouteDef]:
    """Routes for /whip and /whep, to be added to an application."""
    limiter = RateLimiter(config.rate, config.burst)
    routes: list[web.RouteDef] = []
    resources = (
        SessionResource("whip", node, verifier, config),
        SessionResource("whep", node, verifier, config),
    )
    for resource in resources:
        base = f"/{resource.protocol}/{{stream}}"
        routes.append(web.route("*", base, guarded(resource.endpoint, limiter)))
        routes.append(web.route("*", base + "/{session}", guarded(resource.session, limiter)))
    whep = resources[1]
    sse = SseResource(
        events,
        whep.owned_session,
        config.event_types,
        config.max_body_bytes,
        config.body_timeout_s,
        config.public_url,
    )
    layer = LayerResource(whep.owned_session, config.body_timeout_s)
    routes.append(web.route("*", "/whep/{stream}/{session}/layer", guarded(layer.serve, limiter)))
    base = "/whep/{stream}/{session}/sse"
    routes.append(web.route("*", base, guarded(sse.subscriptions, limiter)))
    routes.append(web.route("*", base + "/{subscription}", guarded(sse.stream, limiter)))
    return routes


def guarded(handler: Handler, limiter: RateLimiter) -> Handler:
    """Rate limit, problems and redirects as answers, CORS on everything."""

    async def run(request: web.Request) -> web.StreamResponse:
        try:
            asks = request.method == "OPTIONS" and not is_preflight(request.headers)
            if asks or request.method in ("POST", "PATCH", "DELETE"):
                _take(limiter, request.remote or "", "address")
            response = await handler(request)
        except HttpProblem as problem:
            response = problem_response(problem)
        except Refused as refusal:
            response = problem_response(_refused(refusal))
        except Redirected as redirect:
            headers = {"Location": redirect.url, "Cache-Control": "no-store"}
            response = web.Response(status=307, headers=headers)
        except Exception:
            # The path alone: a query may carry a ticket.
            log.exception("request failed", extra={"method": request.method})
            response = problem_response(HttpProblem(500, "The server made a mistake."))
        if not response.prepared:
            add_cors(response.headers)
        return response

    return run


class SessionResource:
    """The endpoint and the sessions of one protocol."""

    def __init__(
        self,
        protocol: Literal["whip", "whep"],
        node: SignallingNode,
        verifier: TokenVerifier,
        config: SignallingConfig,
    ) -> None:
        self.protocol = protocol
        self._node = node
        self._verifier = verifier
        self._config = config
        self._scopes: tuple[Scope, ...] = ("publish",) if protocol == "whip" else ("view", "relay")
        self._kind = "publisher" if protocol == "whip" else "viewer"
        self._tickets = TicketBook()
        self._by_token = RateLimiter(
            max(config.rate * config.token_share, MIN_TOKEN_RATE),
            max(config.burst * config.token_share, MIN_TOKEN_BURST),
        )

    async def endpoint(self, request: web.Request) -> web.StreamResponse:
        """/whip/<stream>, /whep/<stream>."""
        methods = ("OPTIONS", "GET", "HEAD", "POST")
        match request.method:
            case "POST":
                return await self._create(request)
            case "OPTIONS":
                return self._options(request, options_headers(methods, accept_post=SDP))
            case "GET" | "HEAD":
                return self._empty()
        raise _not_allowed(methods)

    def _options(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        """Credentials are for token holders alone; a preflight is told no servers (RFC 9725
        section 4.6)."""
        response = web.Response(status=200, headers=headers)
        if not is_preflight(request.headers):
            known = bool(self._token(request))
            grant = self._authorize(request, request.match_info["stream"]) if known else None
            self._add_ice_servers(response, grant.subject if grant else None)
        return response

    async def session(self, request: web.Request) -> web.StreamResponse:
        """/whip/<stream>/<session>, /whep/<stream>/<session>."""
        methods = ("OPTIONS", "GET", "HEAD", "PATCH", "DELETE")
        match request.method:
            case "PATCH":
                return await self._patch(request)
            case "DELETE":
                await self.owned_session(request).close()
                return web.Response(status=200)
            case "OPTIONS":
                headers = options_headers(methods, accept_post=None)
                headers["Accept-Patch"] = FRAGMENT
                return web.Response(status=200, headers=headers)
            case "GET" | "HEAD":
                return self._empty()
        raise _not_allowed(methods)

    def owned_session(self, request: web.Request) -> SignallingSession:
        """The session of the URL, if its key or the token may touch it; else 401, 403 or 404."""
        session = self._node.session(request.match_info["session"])
        if session is not None and (
            session.kind != self._kind or session.stream != request.match_info["stream"]
        ):
            session = None
        key = request.query.get(KEY, "") if self._config.accept_query_token else ""
        if key:
            # Without a session nothing tells a good key from a bad one: either way it is gone.
            if session is None:
                raise HttpProblem(404, "There is no such session (any more).")
            if compare_digest(key.encode(), session.key.encode()):
                return session
        token = self._token(request)
        try:
            grant = self._verifier.verify(token)
        except InvalidToken as error:
            raise _unauthorized(str(error)) from error
        if session is None:
            raise HttpProblem(404, "There is no such session (any more).")
        if not self._may_touch(grant, session):
            raise HttpProblem(403, "This session belongs to somebody else.")
        return session

    def _may_touch(self, grant: Grant, session: SignallingSession) -> bool:
        """Its owner, and an operator of its stream."""
        if grant.scope == "operate":
            return grant.stream in ("*", session.stream)
        return grant.scope in self._scopes and grant.token_id == session.owner

    async def _create(self, request: web.Request) -> web.Response:
        stream = request.match_info["stream"]
        grant = self._authorize(request, stream)
        _take(self._by_token, grant.token_id, "token")
        require_type(request, SDP)
        text = await read_text(request, self._config.max_body_bytes, self._config.body_timeout_s)
        try:
            offer = parse_offer(text)
        except SdpError as error:
            raise HttpProblem(400, f"The offer cannot be read: {error}.") from error
        if grant.ticket_id:
            await self._take_ticket(grant.ticket_id)
        verb = self._node.publish if self.protocol == "whip" else self._node.view
        accepted = await verb(stream, offer, grant)
        if grant.ticket_id:
            self._tickets.note(grant.ticket_id, accepted.session_id, time.monotonic())
        by_query = not bearer_token(request.headers.get("Authorization"))
        return self._created(stream, accepted, grant, with_key=by_query)

    async def _take_ticket(self, ticket_id: str) -> None:
        """Raises the 403 of a ticket whose viewer is here."""
        earlier = self._tickets.session_of(ticket_id, time.monotonic())
        session = self._node.session(earlier) if earlier is not None else None
        if session is None:
            return
        if session.connected:
            raise HttpProblem(403, "This ticket has been used.")
        await session.close()

    def _created(
        self, stream: str, accepted: Accepted, grant: Grant, *, with_key: bool
    ) -> web.Response:
        path = f"/{self.protocol}/{quote(stream, safe='')}/{accepted.session_id}"
        location = self._config.public_url.rstrip("/") + path
        session = self._node.session(accepted.session_id)
        # Who came by a ticket has no header to send: its session's URL is all that it needs.
        query = f"?{KEY}={session.key}" if with_key and session is not None else ""
        response = web.Response(status=201, text=accepted.answer_sdp, content_type=SDP)
        response.headers["Location"] = location + query
        response.headers["ETag"] = f'"{accepted.etag}"'
        self._add_ice_servers(response, grant.subject)
        if self.protocol == "whep":
            if grant.scope == "relay":
                response.headers[LINEAGE_HEADER] = ", ".join(accepted.lineage)
            types = ",".join(self._config.event_types)
            response.headers.add(
                "Link", f'<{location}/sse{query}>; rel="{SSE_REL}"; events="{types}"'
            )
            response.headers.add("Link", f'<{location}/layer{query}>; rel="{LAYER_REL}"')
        return response

    async def _patch(self, request: web.Request) -> web.Response:
        session = self.owned_session(request)
        require_type(request, FRAGMENT)
        _check_precondition(request, session)
        text = await read_text(request, self._config.max_body_bytes, self._config.body_timeout_s)
        # A DELETE or a restart may have overtaken the body.
        session = self.owned_session(request)
        _check_precondition(request, session)
        try:
            fragment = parse_fragment(text)
        except SdpError as error:
            raise HttpProblem(400, f"The fragment cannot be read: {error}.") from error
        known = session.knows_ufrag(fragment.ice_ufrag) if fragment.ice_ufrag else "current"
        if known == "new":
            return self._restart(session, fragment)
        if known == "current":
            session.add_remote_candidates(fragment)
        return web.Response(status=204)

    def _restart(self, session: SignallingSession, fragment: SdpFragment) -> web.Response:
        if not fragment.ice_pwd:
            raise HttpProblem(400, "An ICE restart needs ice-ufrag and ice-pwd.")
        answer = session.restart_ice(fragment)
        response = web.Response(status=200, text=answer.to_sdp(), content_type=FRAGMENT)
        response.headers["ETag"] = f'"{session.etag}"'
        # What the client was told at the beginning may have ended.
        self._add_ice_servers(response, session.subject)
        return response

    def _authorize(self, request: web.Request, stream: str) -> Grant:
        try:
            if stream == LINE_CHECK and self.protocol == "whep":
                # Of no stream: any commune may check its line.
                grant = self._verifier.verify(self._token(request))
                if grant.scope != "view":
                    raise Forbidden(f"This token is for '{grant.scope}', not for this.")
            else:
                grant = self._verifier.authorize(self._token(request), self._scopes, stream)
        except InvalidToken as error:
            raise _unauthorized(str(error)) from error
        except Forbidden as error:
            raise HttpProblem(403, str(error)) from error
        if grant.scope != "relay":
            return grant
        return replace(grant, path=_relay_path(request.headers.get(PATH_HEADER), grant.subject))

    def _token(self, request: web.Request) -> str:
        token = bearer_token(request.headers.get("Authorization"))
        if not token and self._config.accept_query_token and self.protocol == "whep":
            query = request.query
            token = next((query[name] for name in _QUERY_TOKENS if query.get(name)), "")
        return token

    def _empty(self) -> web.Response:
        """G1, E5: a success without content; WHEP names the type that it serves."""
        if self.protocol == "whip":
            return web.Response(status=204)
        return web.Response(status=200, headers={"Content-Type": SDP})

    def _add_ice_servers(self, response: web.Response, subject: str | None) -> None:
        links = list(self._config.ice_servers)
        if self._config.turn is not None and subject is not None:
            links += self._config.turn.links(subject, time.time())
            response.headers["Cache-Control"] = "no-store"
        for link in links:
            response.headers.add("Link", link)


def _take(limiter: RateLimiter, client: str, what: str) -> None:
    """Raises the 429 of a bucket that is empty."""
    wait_s = limiter.take(client, time.monotonic())
    if wait_s:
        seconds = {"Retry-After": str(max(1, math.ceil(wait_s)))}
        raise HttpProblem(429, f"Too many requests from this {what}.", seconds)


def _check_precondition(request: web.Request, session: SignallingSession) -> None:
    matched = if_match(request.headers.get("If-Match"), session.etag)
    if matched is None:
        raise HttpProblem(428, "PATCH needs If-Match with the ETag of the ICE session.")
    if not matched:
        raise HttpProblem(412, "The ETag is that of an earlier ICE session.")


def _unauthorized(detail: str) -> HttpProblem:
    return HttpProblem(401, detail, {"WWW-Authenticate": 'Bearer realm="wardcast"'})


def _not_allowed(methods: tuple[str, ...]) -> HttpProblem:
    return HttpProblem(405, "This method is not served here.", {"Allow": ", ".join(methods)})


def _relay_path(header: str | None, puller: str) -> tuple[str, ...]:
    """Ids of a pull's `Wardcast-Path`; the puller alone when there is none. Raises a 400."""
    ids = tuple(part.strip() for part in header.split(",")) if header else (puller,)
    if len(ids) > MAX_PATH_NODES or not all(_NODE_ID.fullmatch(node) for node in ids):
        raise HttpProblem(400, f"{PATH_HEADER} is not a list of node ids.")
    return ids


def _refused(refusal: Refused) -> HttpProblem:
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return HttpProblem(refusal.status, refusal.detail, headers)
