"""Everybody and the communes: the site, who a token is, the hall's own figures."""

from __future__ import annotations

from aiohttp import web
from pydantic import ValidationError

from hub.api.context import ApiContext
from hub.api.respond import Route, json_response, require_grant, take_turn
from hub.telemetry.browser_report import MAX_REPORT_BYTES, BrowserReport
from relay.signalling.body import read_text, require_type
from relay.signalling.node_protocol import Grant
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

BODY_TIMEOUT_S = 5.0
REPORTS_PER_S = 20.0
REPORT_BURST = 60.0
"""Of one link: a commune may have 20 screens, each reports every 2 to 5 s."""


class ViewerApi:
    """Handlers for what needs no token or a `view` token."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._reports = RateLimiter(REPORTS_PER_S, REPORT_BURST)

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [
            ("GET", "/api/site", self.site),
            ("GET", "/api/me", self.me),
            ("GET", "/api/viewer/info", self.info),
            ("POST", "/api/viewer/telemetry", self.telemetry),
        ]

    async def site(self, request: web.Request) -> web.StreamResponse:
        """GET, public: titles and streams."""
        stream = self._context.config.stream
        titles = self._context.telemetry.titles
        streams = [
            {"name": name, "title": titles[name][0], "title_en": titles[name][1]}
            for name in stream.names
        ]
        pilot = self._context.roster.pilot
        return json_response(
            {
                "title": stream.title_vi,
                "title_en": stream.title_en,
                "stream": stream.name,
                "streams": streams,
                "pilot": {"slug": pilot.slug, "name": pilot.display_name},
            }
        )

    async def me(self, request: web.Request) -> web.StreamResponse:
        """GET, any token: what it is for, and where to go with it."""
        grant = require_grant(request, self._context.verifier)
        stream = self._stream_of(grant)
        body = {
            "scope": grant.scope,
            "subject": grant.subject,
            "display_name": self._display_name(grant),
            "stream": stream,
            "expires_at": grant.expires_at,
            "alternatives": [],
        }
        if grant.scope == "view":
            body["alternatives"] = self._context.relays.alternatives(grant.subject)
        if grant.scope == "publish":
            body["whip_url"] = f"/whip/{stream}"
        elif grant.scope == "view":
            body["whep_url"] = f"/whep/{stream}"
        return json_response(body)

    async def info(self, request: web.Request) -> web.StreamResponse:
        """GET, `view`: the names that a commune's page shows."""
        grant = require_grant(request, self._context.verifier, "view", "operate")
        stream = self._stream_of(grant)
        vi, en = self._context.telemetry.titles.get(stream, (stream, stream))
        commune = self._context.roster.by_slug(grant.subject)
        name = self._display_name(grant)
        return json_response(
            {
                "name": name,
                "commune": {
                    "slug": grant.subject,
                    "name": name,
                    "kind": commune.kind if commune else None,
                },
                "title": vi,
                "title_en": en,
                "stream": stream,
                "whep_url": f"/whep/{stream}",
            }
        )

    async def telemetry(self, request: web.Request) -> web.StreamResponse:
        """POST, `view`: a digest of webrtc-stats: 204; 404 if the session is not this commune's."""
        grant = require_grant(request, self._context.verifier, "view")
        take_turn(self._reports, grant.token_id)
        require_type(request, "application/json")
        text = await read_text(request, MAX_REPORT_BYTES, BODY_TIMEOUT_S)
        try:
            report = BrowserReport.model_validate_json(text)
        except ValidationError as error:
            raise HttpProblem(400, _fault(error)) from error
        agent = request.headers.get("User-Agent", "")
        if not self._context.telemetry.take_report(report, grant.subject, agent):
            raise HttpProblem(404, "There is no such session (any more).")
        return web.Response(status=204)

    def _stream_of(self, grant: Grant) -> str:
        return self._context.config.stream.name if grant.stream == "*" else grant.stream

    def _display_name(self, grant: Grant) -> str:
        commune = self._context.roster.by_slug(grant.subject)
        if commune is not None:
            return commune.display_name
        return (
            self._context.roster.pilot.display_name if grant.scope == "publish" else grant.subject
        )


def _fault(error: ValidationError) -> str:
    """The first fault, without the input: it may be anything."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"]))[:60]
    return f"{where or 'The body'}: {first['msg'][:120]}"
