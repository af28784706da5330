"""The operator's choice of layer for a commune."""

from __future__ import annotations

import re

from aiohttp import web

from hub.api.context import ApiContext
from hub.api.respond import Route, json_body, json_response, require_grant
from relay.signalling.problem import HttpProblem

_RID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class LayersApi:
    """Handler under /api/operator/communes; `operate` tokens."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [("POST", "/api/operator/communes/{slug}/layer", self.pin)]

    async def pin(self, request: web.Request) -> web.StreamResponse:
        """POST {"rid": name or null}: 202; its viewers get this layer at its next key frame."""
        require_grant(request, self._context.verifier, "operate")
        slug = request.match_info["slug"]
        commune = self._context.roster.by_slug(slug)
        if commune is None or commune is self._context.roster.pilot:
            raise HttpProblem(404, "There is no such commune.")
        rid = (await json_body(request)).get("rid")
        if rid is not None and not (isinstance(rid, str) and _RID.fullmatch(rid)):
            raise HttpProblem(400, "rid must be the name of a layer, or null.")
        self._context.relays.pin_layer(slug, rid)
        return json_response({"commune": slug, "rid": rid}, status=202)
