"""Relays as the operator works with them: see, drain, move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from hub.api.context import ApiContext
from hub.api.respond import Route, json_body, json_response, require_grant
from relay.signalling.problem import HttpProblem

_T = TypeVar("_T")


class RelaysApi:
    """Handlers under /api/operator/relays and for a commune's relay; `operate` tokens."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        base = "/api/operator"
        return [
            ("GET", f"{base}/relays", self.relays),
            ("POST", f"{base}/relays/{{id}}/drain", self.drain),
            ("POST", f"{base}/relays/{{id}}/resume", self.resume),
            ("POST", f"{base}/relays/{{id}}/move", self.move),
            ("POST", f"{base}/communes/{{slug}}/relay", self.pin),
        ]

    async def relays(self, request: web.Request) -> web.StreamResponse:
        """GET: one row a relay."""
        self._require(request)
        return json_response({"relays": self._context.relays.rows()})

    async def drain(self, request: web.Request) -> web.StreamResponse:
        """POST, maybe {"exit": true}: 202 with the number of viewers that are being moved."""
        self._require(request)
        leave = bool((await json_body(request)).get("exit", False))
        moving = _known(lambda: self._context.relays.drain(_relay(request), leave=leave))
        return json_response({"relay": _relay(request), "moving": moving}, status=202)

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """POST: 204; a relay that was drained takes viewers again."""
        self._require(request)
        _known(lambda: self._context.relays.resume(_relay(request)))
        return web.Response(status=204)

    async def move(self, request: web.Request) -> web.StreamResponse:
        """POST, maybe {"to": id}: 202 with the number of viewers that are being moved."""
        self._require(request)
        to = _optional_name(await json_body(request), "to")
        moving = _known(lambda: self._context.relays.move(_relay(request), to=to))
        return json_response({"relay": _relay(request), "moving": moving}, status=202)

    async def pin(self, request: web.Request) -> web.StreamResponse:
        """POST {"relay": id or null}: 202; the commune's viewers are moved there."""
        self._require(request)
        slug = request.match_info["slug"]
        commune = self._context.roster.by_slug(slug)
        if commune is None or commune is self._context.roster.pilot:
            raise HttpProblem(404, "There is no such commune.")
        relay = _optional_name(await json_body(request), "relay")
        moving = _known(lambda: self._context.relays.pin(slug, relay))
        return json_response({"commune": slug, "relay": relay, "moving": moving}, status=202)

    def _require(self, request: web.Request) -> None:
        require_grant(request, self._context.verifier, "operate")


def _relay(request: web.Request) -> str:
    return request.match_info["id"]


def _known(verb: Callable[[], _T]) -> _T:
    try:
        return verb()
    except KeyError:
        raise HttpProblem(404, "There is no such relay.") from None


def _optional_name(body: dict[str, Any], key: str) -> str | None:
    name = body.get(key)
    if name is not None and not isinstance(name, str):
        raise HttpProblem(400, f"{key} must be a relay's id or null.")
    return name
