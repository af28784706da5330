"""The hub's end of the link: a WebSocket that a relay opens and keeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from hub.relays.link_connection import LinkConnection, ReadingPace, refuse
from hub.relays.registry import DuplicateRelayError, Relay, RelayRegistry
from relay.control.messages import (
    MAX_MESSAGE_BYTES,
    Beat,
    Directory,
    Hello,
    MessageError,
    Report,
    Welcome,
    read_from_relay,
)
from relay.signalling.auth import InvalidToken, TokenVerifier, bearer_token
from relay.signalling.http import guarded
from relay.signalling.problem import HttpProblem
from relay.signalling.rate_limit import RateLimiter

HELLO_S = 3.0
SILENCE_S = 4.0
"""A link without a beat for so long is closed; placement has left the relay long before."""
BAD_MESSAGE = 4400
FORBIDDEN = 4403
TAKEN = 4409

log = logging.getLogger(__name__)


class LinkEndpoint:
    """welcome, directory: what a relay is told, made anew for each. clock: monotonic ms."""

    def __init__(
        self,
        registry: RelayRegistry,
        verifier: TokenVerifier,
        *,
        welcome: Callable[[], Welcome],
        directory: Callable[[str], Directory],
        on_change: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._verifier = verifier
        self._welcome = welcome
        self._directory = directory
        self._on_change = on_change
        self._clock = clock
        self._open: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """To be added to an application."""
        return [web.get("/api/relay/link", guarded(self._serve, RateLimiter(50.0, 200.0)))]

    async def close(self) -> None:
        """End all links: the hub stops."""
        await asyncio.gather(
            *(socket.close(code=1001, message=b"the hub stops") for socket in self._open),
            return_exceptions=True,
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        subject = self._subject(request)
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0, compress=False, autoping=True
        )
        await socket.prepare(request)
        self._open.add(socket)
        try:
            await self._link(request, socket, subject)
        finally:
            self._open.discard(socket)
        return socket

    def _subject(self, request: web.Request) -> str:
        try:
            grant = self._verifier.verify(bearer_token(request.headers.get("Authorization")))
        except InvalidToken as error:
            challenge = {"WWW-Authenticate": 'Bearer realm="wardcast"'}
            raise HttpProblem(401, str(error), challenge) from error
        if grant.scope != "relay":
            raise HttpProblem(403, f"This token is for '{grant.scope}', not for a relay.")
        return grant.subject

    async def _link(
        self, request: web.Request, socket: web.WebSocketResponse, subject: str
    ) -> None:
        try:
            hello = await self._hello(socket)
        except MessageError as error:
            await refuse(socket, BAD_MESSAGE, str(error))
            return
        if hello.id != subject and not hello.id.startswith(f"{subject}-"):
            await refuse(socket, FORBIDDEN, f"the token is for {subject}, not for {hello.id}")
            return
        connection = LinkConnection(socket, request.transport)
        try:
            relay = self._registry.hello(hello, connection, self._clock())
        except DuplicateRelayError as error:
            await refuse(socket, TAKEN, str(error))
            return
        log.info("relay linked", extra={"relay": hello.id, "role": hello.role})
        connection.send(self._welcome())
        connection.send(self._directory(hello.id))
        self._on_change()
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(socket, relay)
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            self._registry.link_lost(relay, connection, self._clock())
            log.warning("relay's link is gone", extra={"relay": hello.id})
            self._on_change()

    async def _hello(self, socket: web.WebSocketResponse) -> Hello:
        """Raises MessageError."""
        try:
            frame = await socket.receive(timeout=HELLO_S)
        except TimeoutError:
            raise MessageError("no hello came") from None
        message = read_from_relay(frame.data) if frame.type == WSMsgType.TEXT else None
        if not isinstance(message, Hello):
            raise MessageError("the first message must be hello")
        return message

    async def _read(self, socket: web.WebSocketResponse, relay: Relay) -> None:
        pace = ReadingPace()
        while True:
            try:
                frame = await socket.receive(timeout=SILENCE_S)
            except TimeoutError:
                await refuse(socket, BAD_MESSAGE, "no beat came")
                return
            if frame.type == WSMsgType.BINARY:
                await refuse(socket, BAD_MESSAGE, "messages are text")
                return
            if frame.type != WSMsgType.TEXT:
                return
            try:
                self._take(relay, read_from_relay(frame.data))
            except MessageError as error:
                await refuse(socket, BAD_MESSAGE, str(error))
                return
            await asyncio.sleep(pace.wait_ms(len(frame.data), self._clock()) / 1000)

    def _take(self, relay: Relay, message: Hello | Beat | Report | None) -> None:
        now_ms = self._clock()
        version = self._registry.version
        if isinstance(message, Beat):
            self._registry.on_beat(relay, message, now_ms)
        elif isinstance(message, Report):
            self._registry.on_report(relay, message, now_ms)
        if self._registry.version != version:
            self._on_change()
