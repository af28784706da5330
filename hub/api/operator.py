"""The operator: everything that can be seen, and the few things that can be done."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from datetime import datetime

from aiohttp import web

from hub.api.board_stream import BoardFeed, Named, serve_board
from hub.api.context import ApiContext
from hub.api.respond import Route, json_response, require_grant, take_turn
from hub.links import viewer_url
from hub.roster import Commune
from hub.telemetry.attendance import Presence
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

KEYFRAMES_PER_S = 1.0
CSV_HEADER = (
    "slug",
    "don_vi",
    "vao_luc",
    "roi_luc",
    "tong_phut",
    "so_lan_vao",
    "so_lan_noi_lai",
)


class OperatorApi:
    """Handlers under /api/operator; all ask for an `operate` token."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._keyframes = RateLimiter(KEYFRAMES_PER_S, 1)

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        base = "/api/operator"
        return [
            ("GET", f"{base}/overview", self.overview),
            ("GET", f"{base}/events", self.events),
            ("GET", f"{base}/attendance", self.attendance),
            ("POST", f"{base}/sessions/{{id}}/close", self.close_session),
            ("DELETE", f"{base}/sessions/{{id}}", self.close_session),
            ("POST", f"{base}/communes/{{slug}}/link", self.new_link),
            ("POST", f"{base}/keyframe", self.keyframe),
        ]

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """GET: stream, communes, totals."""
        self._require(request)
        return json_response(self._context.telemetry.overview())

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET: the overview, then `stream`, `commune` and `totals` as they change."""
        grant = require_grant(request, self._context.verifier, "operate")
        telemetry = self._context.telemetry
        feed = BoardFeed(
            lambda: Named("overview", telemetry.overview()), self._changes, self._heartbeat
        )
        revoked = self._context.revocations.is_revoked
        return await serve_board(request, telemetry.board, feed, grant, revoked)

    async def close_session(self, request: web.Request) -> web.StreamResponse:
        """POST …/close or DELETE: end a viewer's or publisher's session: 204, 404 if unknown."""
        self._require(request)
        session = self._context.node.session(request.match_info["id"])
        if session is None:
            raise HttpProblem(404, "There is no such session (any more).")
        await session.close()
        return web.Response(status=204)

    async def new_link(self, request: web.Request) -> web.StreamResponse:
        """POST: 201 with the commune's new link; its old ones and their sessions end."""
        self._require(request)
        context = self._context
        slug = request.match_info["slug"]
        commune = context.roster.by_slug(slug)
        if commune is None or commune is context.roster.pilot:
            raise HttpProblem(404, "There is no such commune.")
        await context.revocations.revoke("view", slug)
        closed = await self._close_revoked()
        token = context.issuer.issue("view", slug, "*", context.config.tokens.view_hours * 3600)
        base = context.config.http.public_url.rstrip("/") or f"{request.scheme}://{request.host}"
        body = {"url": viewer_url(base, slug, token), "token": token, "sessions_closed": closed}
        return json_response(body, status=201)

    async def keyframe(self, request: web.Request) -> web.StreamResponse:
        """POST: ask the encoder on air for a key frame; ?stream= names another stream."""
        self._require(request)
        name = request.query.get("stream", self._context.config.stream.name)
        if name not in self._context.config.stream.names:
            raise HttpProblem(404, "There is no stream of this name.")
        take_turn(self._keyframes, name)
        asked = self._context.node.request_keyframes(name)
        if not asked:
            raise HttpProblem(409, "Nobody is on the air with a picture.")
        return json_response({"stream": name, "sources": asked}, status=202)

    async def attendance(self, request: web.Request) -> web.StreamResponse:
        """GET: who was here and when; ?format=csv for a spreadsheet."""
        self._require(request)
        form = request.query.get("format", "json")
        if form not in ("json", "csv"):
            raise HttpProblem(400, "The format is json or csv.")
        try:
            presences = await self._context.telemetry.presences()
        except OSError as error:
            raise HttpProblem(503, "The attendance log cannot be read.") from error
        now = time.time()
        rows = [(c, presences.get(c.slug)) for c in self._context.roster.viewers]
        if form == "csv":
            return _csv(rows, now)
        return json_response({"at": round(now), "communes": [_row(c, p, now) for c, p in rows]})

    # -- inside

    def _require(self, request: web.Request) -> None:
        require_grant(request, self._context.verifier, "operate")

    def _changes(self, version: int) -> list[Named]:
        telemetry = self._context.telemetry
        keys = ["stream", *telemetry.commune_keys(), "totals", "relays"]
        found = telemetry.board.since(version, keys)
        return [Named(key.partition(":")[0], value) for key, value in found]

    def _heartbeat(self) -> Named:
        return Named("stream", self._context.telemetry.board.get("stream") or {})

    async def _close_revoked(self) -> int:
        """End viewers whose token was taken back, connected or still coming up."""
        context = self._context
        closed = 0
        for stream in context.node.snapshot().streams:
            for viewer in stream.viewers:
                session = context.node.session(viewer.id)
                if session is not None and context.revocations.is_revoked(session.owner):
                    await session.close()
                    closed += 1
        return closed


def _row(commune: Commune, presence: Presence | None, now: float) -> dict[str, object]:
    presence = presence or Presence(commune.slug)
    return {
        "slug": commune.slug,
        "name": commune.display_name,
        "kind": commune.kind,
        "present": any(i.left_at is None for i in presence.intervals),
        "seconds": round(presence.seconds(now)),
        "reconnects": presence.reconnects,
        "intervals": [{"joined_at": i.joined_at, "left_at": i.left_at} for i in presence.intervals],
    }


def _csv(rows: Sequence[tuple[Commune, Presence | None]], now: float) -> web.Response:
    """One line a commune. With a byte-order mark, or Excel takes UTF-8 for something else."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_HEADER)
    for commune, presence in rows:
        presence = presence or Presence(commune.slug)
        first = presence.intervals[0] if presence.intervals else None
        last = presence.intervals[-1] if presence.intervals else None
        writer.writerow(
            (
                commune.slug,
                commune.display_name,
                _local(first.joined_at) if first else "",
                _local(last.left_at) if last and last.left_at is not None else "",
                round(presence.seconds(now) / 60),
                len(presence.intervals),
                presence.reconnects,
            )
        )
    response = web.Response(body=("\ufeff" + text.getvalue()).encode())
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    response.headers["Content-Disposition"] = 'attachment; filename="diem-danh.csv"'
    return response


def _local(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
