"""How every answer of the API leaves: problems as RFC 9457, JSON never cached, strict headers."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from relay.signalling.auth import InvalidToken, TokenVerifier, bearer_token
from relay.signalling.body import read_text, require_type
from relay.signalling.node_protocol import Grant, Scope
from relay.signalling.problem import HttpProblem, problem_response
from relay.signalling.rate_limit import RateLimiter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]
"""Method, path, handler."""

MAX_BODY_BYTES = 4096
BODY_TIMEOUT_S = 5.0

SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "connect-src 'self' https: http:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": (
        "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), "
        "screen-wake-lock=(self)"
    ),
}


def answering(handler: Handler) -> Handler:
    """The handler with its problems as answers and the security headers on everything."""

    async def run(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except HttpProblem as problem:
            response = problem_response(problem)
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return run


def json_response(body: Mapping[str, Any], status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, dumps=to_json)


async def json_body(request: web.Request) -> dict[str, Any]:
    """A JSON object, {} for no body. Raises 400, 408, 413, 415."""
    if not request.can_read_body:
        return {}
    require_type(request, "application/json")
    text = await read_text(request, MAX_BODY_BYTES, BODY_TIMEOUT_S)
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise HttpProblem(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise HttpProblem(400, "The body must be a JSON object.")
    return body


def to_json(value: Any) -> str:
    """Compact, with Vietnamese letters as they are; refuses what JSON has not (NaN)."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def require_grant(request: web.Request, verifier: TokenVerifier, *scopes: Scope) -> Grant:
    """The request's grant; 401 without a good token, 403 unless it has one of `scopes`."""
    try:
        grant = verifier.verify(bearer_token(request.headers.get("Authorization")))
    except InvalidToken as error:
        challenge = {"WWW-Authenticate": 'Bearer realm="wardcast"'}
        raise HttpProblem(401, str(error), challenge) from error
    if scopes and grant.scope not in scopes:
        raise HttpProblem(403, f"This token is for '{grant.scope}', not for this.")
    return grant


def take_turn(limiter: RateLimiter, client: str) -> None:
    """429 with Retry-After when the client has had its share."""
    wait_s = limiter.take(client, time.monotonic())
    if wait_s:
        seconds = {"Retry-After": str(max(1, math.ceil(wait_s)))}
        raise HttpProblem(429, "Too many requests.", seconds)
