"""All routes of the hub but WHIP and WHEP."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from hub.api.context import ApiContext
from hub.api.health import HealthApi
from hub.api.layers import LayersApi
from hub.api.operator import OperatorApi
from hub.api.pages import Pages
from hub.api.relays import RelaysApi
from hub.api.respond import Route, answering
from hub.api.studio import StudioApi
from hub.api.viewer import ViewerApi


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
        HealthApi(context),
    )
    return [
        web.route(method, path, answering(handler))
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
