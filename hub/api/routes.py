"""All routes of the hub but WHIP and WHEP."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from hub.api.context import ApiContext
from hub.api.health import HealthApi
from hub.api.layers import LayersApi
from hub.api.line_check import LineCheckApi
from hub.api.operator import OperatorApi
from hub.api.pages import Pages
from hub.api.relays import RelaysApi
from hub.api.respond import Route, answering
from hub.api.studio import StudioApi
from hub.api.viewer import ViewerApi

_ONLY_GET = {"allow_head": False}


class Audience(Protocol):
    """Handlers for one kind of client."""

    def routes(self) -> list[Route]:
        """(method, path, handler)."""


def api_routes(context: ApiContext) -> list[web.RouteDef]:
    """Pages, API, health and metrics, to be added to an application."""
    audiences: tuple[Audience, ...] = (
        Pages(context),
        ViewerApi(context),
        StudioApi(context),
        OperatorApi(context),
        RelaysApi(context),
        LayersApi(context),
        LineCheckApi(context),
        HealthApi(context),
    )
    # `web.get` would add HEAD by itself, also to event streams.
    return [
        web.RouteDef(method, path, answering(handler), _ONLY_GET if method == "GET" else {})
        for audience in audiences
        for method, path, handler in _with_head(audience.routes())
    ]


def _with_head(routes: list[Route]) -> list[Route]:
    """HEAD wherever there is a GET, but for event streams, which have no end."""
    heads = [
        ("HEAD", path, handler)
        for method, path, handler in routes
        if method == "GET" and not path.endswith("/events")
    ]
    return [*routes, *heads]
