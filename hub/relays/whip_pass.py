"""WHIP at the hub when an origin of its own takes publishers: signalling is passed on.

Media goes straight to the origin. A publisher sees one server: pages on HTTPS could not follow a
redirect to a plain HTTP origin, and the encoders in the field follow redirects badly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from relay.signalling.body import read_text
from relay.signalling.http import Handler, guarded
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 5.0
ORIGIN_TIMEOUT_S = 4.0
MAX_SESSIONS = 1024
PASSED_METHODS = ("POST", "PATCH", "DELETE")
_TO_ORIGIN = ("Authorization", "Content-Type", "If-Match", "Accept")
_TO_CLIENT = (
    *("Content-Type", "ETag", "Link", "Retry-After", "WWW-Authenticate"),
    *("Allow", "Accept-Patch", "Accept-Post"),
)


class WhipPass:
    """origins: base URLs of origins that live, best first. is_ours: whether the embedded node has
    a session. public_url: origin of `Location`, "" for a path."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        origins: Callable[[], Sequence[str]],
        is_ours: Callable[[str], bool],
        *,
        limiter: RateLimiter,
        public_url: str = "",
    ) -> None:
        self._http = http
        self._origins = origins
        self._is_ours = is_ours
        self._limiter = limiter
        self._public_url = public_url.rstrip("/")
        self._homes: OrderedDict[str, str] = OrderedDict()

    def over(self, routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
        """The same routes, those of WHIP passed on while there is an origin."""
        return [
            web.route(route.method, route.path, self._choosing(route.handler))
            if route.path.startswith("/whip/")
            else route
            for route in routes
        ]

    def _choosing(self, own: Any) -> Handler:
        serve: Handler = own
        passed = guarded(self._pass, self._limiter)

        async def choose(request: web.Request) -> web.StreamResponse:
            session = request.match_info.get("session", "")
            known = session in self._homes
            if request.method not in PASSED_METHODS or not (known or self._origins()):
                return await serve(request)
            if session and self._is_ours(session):
                return await serve(request)
            return await passed(request)

        return choose

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        session = request.match_info.get("session", "")
        body = await read_text(request, MAX_BODY_BYTES, BODY_TIMEOUT_S)
        home = self._homes.get(session)
        places = [home] if home is not None else list(self._origins())
        answer: web.Response | None = None
        for place in places:
            try:
                answer = await self._ask(request, place, body)
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue
            # A session of which we know nothing (we were started anew) is at one of them.
            if not (session and answer.status == 404):
                break
        if answer is None:
            retry = {"Retry-After": "1"}
            raise HttpProblem(503, "The origin does not answer; try again.", retry)
        return answer

    async def _ask(self, request: web.Request, place: str, body: str) -> web.Response:
        url = URL(place.rstrip("/") + request.rel_url.raw_path, encoded=True)
        headers = {k: request.headers[k] for k in _TO_ORIGIN if k in request.headers}
        async with self._http.request(
            request.method,
            url,
            headers=headers,
            data=body.encode() or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=ORIGIN_TIMEOUT_S),
        ) as answer:
            response = web.Response(status=answer.status, body=await answer.read())
            for name in _TO_CLIENT:
                for value in answer.headers.getall(name, []):
                    response.headers.add(name, value)
            location = answer.headers.get("Location")
            if answer.status == 201 and location:
                path = url.join(URL(location)).raw_path
                self._remember(path.rpartition("/")[2], place)
                response.headers["Location"] = self._public_url + path
            elif request.method == "DELETE":
                self._homes.pop(request.match_info.get("session", ""), None)
            return response

    def _remember(self, session: str, place: str) -> None:
        self._homes[session] = place
        while len(self._homes) > MAX_SESSIONS:
            self._homes.popitem(last=False)
