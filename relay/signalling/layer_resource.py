"""What a viewer asks of its picture: `POST <session>/layer`, after the layer extension of the WHEP
drafts (urn:ietf:params:whep:ext:core:layer), and the size at which the picture is seen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from aiohttp import web

from relay.signalling.body import read_text, require_type
from relay.signalling.cors import options_headers
from relay.signalling.node_protocol import LayerRequest, SignallingSession
from relay.signalling.problem import HttpProblem

LAYER_REL = "urn:ietf:params:whep:ext:core:layer"
JSON = "application/json"
MAX_PIXELS = 16_384
MAX_BODY_BYTES = 4096
_RID = re.compile(r"[A-Za-z0-9_-]{1,32}")


def parse_layer_request(text: str) -> LayerRequest:
    """Read the JSON. Keys that we do not know are left alone. Raises HttpProblem (400)."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HttpProblem(400, "The body is not JSON.") from error
    if not isinstance(data, dict):
        raise HttpProblem(400, "The body must be a JSON object.")
    given = frozenset({"encodingId", "maxWidth", "maxHeight"} & data.keys())
    rid = data.get("encodingId")
    if rid is not None and not (isinstance(rid, str) and _RID.fullmatch(rid)):
        raise HttpProblem(400, "encodingId must be the name of a layer, or null.")
    return LayerRequest(given, rid, _pixels(data, "maxWidth"), _pixels(data, "maxHeight"))


def _pixels(data: dict[str, object], key: str) -> int:
    value = data.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PIXELS:
        raise HttpProblem(400, f"{key} must be a whole number from 0 to {MAX_PIXELS}, or null.")
    return value


class LayerResource:
    """/whep/<stream>/<session>/layer. owned_session: the session of a request that may touch it;
    raises HttpProblem."""

    def __init__(
        self,
        owned_session: Callable[[web.Request], SignallingSession],
        body_timeout_s: float,
    ) -> None:
        self._owned_session = owned_session
        self._body_timeout_s = body_timeout_s

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """POST: 204."""
        methods = ("OPTIONS", "POST")
        if request.method == "OPTIONS":
            return web.Response(status=200, headers=options_headers(methods, accept_post=JSON))
        if request.method != "POST":
            allowed = {"Allow": ", ".join(methods)}
            raise HttpProblem(405, "This method is not served here.", allowed)
        self._owned_session(request)
        require_type(request, JSON)
        text = await read_text(request, MAX_BODY_BYTES, self._body_timeout_s)
        wish = parse_layer_request(text)
        self._owned_session(request).ask_layer(wish)  # It may have gone while the body came.
        return web.Response(status=204)
