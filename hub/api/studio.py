"""The studio: what the technician must know of the stream that is being sent."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub.api.board_stream import BoardFeed, Named, serve_board
from hub.api.context import ApiContext
from hub.api.respond import Route, json_response, require_grant
from relay.signalling.node_protocol import Grant


class StudioApi:
    """Handlers under /api/studio; `publish` tokens see their own stream, `operate` tokens too."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [
            ("GET", "/api/studio/status", self.status),
            ("GET", "/api/studio/events", self.events),
        ]

    async def status(self, request: web.Request) -> web.StreamResponse:
        """GET: publisher, findings, audience."""
        grant = require_grant(request, self._context.verifier, "publish", "operate")
        return json_response(self._status(grant))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET: the same as events named `status`."""
        grant = require_grant(request, self._context.verifier, "publish", "operate")
        telemetry = self._context.telemetry

        def named() -> Named:
            return Named("status", self._status(grant))

        def changes(version: int) -> list[Named]:
            return [named()] if telemetry.board.since(version, ["streams"]) else []

        revoked = self._context.revocations.is_revoked
        feed = BoardFeed(named, changes, named)
        return await serve_board(request, telemetry.board, feed, grant, revoked)

    def _status(self, grant: Grant) -> dict[str, Any]:
        stream_config = self._context.config.stream
        name = stream_config.name if grant.stream == "*" else grant.stream
        board = self._context.telemetry.board.get("streams") or {}
        stream = next((s for s in board.get("streams", []) if s["name"] == name), None)
        vi, en = self._context.telemetry.titles.get(name, (name, name))
        publishers = stream["publishers"] if stream else []
        publisher = next((p for p in publishers if p["on_air"]), None)
        mine = next((p for p in publishers if p["subject"] == grant.subject), publisher)
        return {
            "title": vi,
            "title_en": en,
            "stream": {
                "name": name,
                "state": stream["state"] if stream else "off",
                "publisher": mine,
                "uplink_loss_ratio": stream["uplink_loss_ratio"] if stream else 0.0,
            },
            "findings": mine["findings"] if mine else [],
            "viewers": stream["viewers"] if stream else 0,
            "communes_watching": stream["communes_watching"] if stream else 0,
        }
