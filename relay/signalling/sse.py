"""The events extension of WHEP over aiohttp: POST to subscribe, GET to read (X1-X5).

EventSource cannot send headers, so the URL of an event stream is itself an unguessable secret.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from aiohttp import web

from relay.signalling.body import read_text, require_type
from relay.signalling.cors import add_cors, options_headers
from relay.signalling.events import EventHub, Subscription
from relay.signalling.node_protocol import SignallingSession
from relay.signalling.problem import HttpProblem

KEEPALIVE_S = 15.0
RETRY_MS = 2000

log = logging.getLogger(__name__)


class SseResource:
    """Subscriptions of WHEP sessions and their streams."""

    def __init__(
        self,
        events: EventHub,
        owned_session: Callable[[web.Request], SignallingSession],
        event_types: tuple[str, ...],
        max_body_bytes: int,
        body_timeout_s: float = 5.0,
        public_url: str = "",
    ) -> None:
        self._events = events
        self._owned_session = owned_session
        self._types = frozenset(event_types)
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._public_url = public_url.rstrip("/")

    async def subscriptions(self, request: web.Request) -> web.StreamResponse:
        """POST a JSON array of event names: 201 and the stream's Location."""
        if request.method == "OPTIONS":
            headers = options_headers(("OPTIONS", "POST"), accept_post="application/json")
            return web.Response(status=200, headers=headers)
        if request.method != "POST":
            raise HttpProblem(405, "Subscribe with POST.", {"Allow": "OPTIONS, POST"})
        self._owned_session(request)
        require_type(request, "application/json")
        types = self._parse(await read_text(request, self._max_body_bytes, self._body_timeout_s))
        session = self._owned_session(request)  # it may have ended while the body came
        subscription = self._events.subscribe(session.id, session.stream, types)
        location = f"{self._public_url}{request.rel_url.raw_path}/{subscription.id}"
        return web.Response(status=201, headers={"Location": location})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET the events; DELETE ends the subscription."""
        methods = ("OPTIONS", "GET", "DELETE")
        if request.method == "OPTIONS":
            return web.Response(status=200, headers=options_headers(methods, accept_post=None))
        subscription = self._events.find(request.match_info["subscription"])
        if subscription is None or subscription.session_id != request.match_info["session"]:
            raise HttpProblem(404, "There is no such event stream (any more).")
        if request.method == "DELETE":
            self._events.unsubscribe(subscription)
            return web.Response(status=200)
        if request.method != "GET":
            raise HttpProblem(405, "Read with GET.", {"Allow": ", ".join(methods)})
        return await self._serve(request, subscription)

    def _parse(self, text: str) -> frozenset[str]:
        try:
            names = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HttpProblem(400, "The body is not JSON.") from error
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
            raise HttpProblem(400, "The body must be an array of event names.")
        unknown = [name[:40] for name in names if name not in self._types]
        if unknown:
            raise HttpProblem(400, f"Event types not supported: {', '.join(unknown)}.")
        return frozenset(names)

    async def _serve(self, request: web.Request, subscription: Subscription) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        add_cors(response.headers)
        await response.prepare(request)
        last = request.headers.get("Last-Event-ID", "")
        number = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else 0
        try:
            await _feed(response, subscription, number)
        except ConnectionError:
            log.debug("event reader left", extra={"session": subscription.session_id[:8]})
        return response


async def _feed(response: web.StreamResponse, subscription: Subscription, number: int) -> None:
    """Write events past `number` until the subscription ends, the last ones included."""
    await response.write(f"retry: {RETRY_MS}\n\n".encode())
    while True:
        closed = subscription.closed
        events = subscription.after(number)
        for event in events:
            await response.write(event.encode())
            number = event.number
        if closed:
            return
        if not events and not await subscription.wait(KEEPALIVE_S):
            await response.write(b": keep-alive\n\n")
