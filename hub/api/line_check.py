"""Line checks before the event: reported by communes, read by operators."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web
from pydantic import ValidationError

from hub.api.context import ApiContext
from hub.api.respond import Route, json_response, require_grant, take_turn
from hub.state.line_verdict import LineFigures
from relay.signalling.body import read_text, require_type
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

MAX_BYTES, TIMEOUT_S = 8192, 5.0
CHECKS_PER_S, CHECK_BURST = 0.5, 10.0


class LineCheckApi:
    """POST for a commune, GET for operators."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._limiter = RateLimiter(CHECKS_PER_S, CHECK_BURST)

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [
            ("POST", "/api/line-check", self.report),
            ("GET", "/api/operator/line-checks", self.all),
        ]

    async def report(self, request: web.Request) -> web.StreamResponse:
        """POST, `view`: figures of a check: 200 with the verdict in codes and words."""
        grant = require_grant(request, self._context.verifier, "view")
        take_turn(self._limiter, grant.token_id)
        require_type(request, "application/json")
        text = await read_text(request, MAX_BYTES, TIMEOUT_S)
        try:
            figures = LineFigures.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))[:60]
            raise HttpProblem(400, f"{where or 'The body'}: {first['msg'][:120]}") from error
        agent = request.headers.get("User-Agent", "")
        book = self._context.telemetry.line_checks
        record = await asyncio.to_thread(book.take, grant.subject, figures, agent, time.time())
        return json_response({key: record[key] for key in ("verdict", "reasons", "vi", "en", "at")})

    async def all(self, request: web.Request) -> web.StreamResponse:
        """GET, `operate`: the last check of each commune."""
        require_grant(request, self._context.verifier, "operate")
        return json_response({"line_checks": self._context.telemetry.line_checks.all()})
