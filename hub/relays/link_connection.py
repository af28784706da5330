"""One link as the hub holds it: what it sends waits in a bounded queue, what comes is read at a
bounded pace, so that no relay can stall the others or the hub's own media."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from aiohttp import web
from pydantic import BaseModel

from relay.control.messages import encode_message

MAX_QUEUED = 2048
SEND_S = 5.0
"""A relay that takes nothing for so long does not read."""
MESSAGE_MS = 5.0
OCTETS_PER_MESSAGE = 20_000
BURST_MS = 1000.0

log = logging.getLogger(__name__)


class ReadingPace:
    """200 messages or 4 MB a second, and a second's worth at once; a relay sends 6 messages. One
    that sends more is read later: its socket fills up and it waits."""

    def __init__(self) -> None:
        self._until_ms = float("-inf")

    def wait_ms(self, octets: int, now_ms: float) -> float:
        """How long to wait after a message of this length."""
        cost_ms = MESSAGE_MS * max(1.0, octets / OCTETS_PER_MESSAGE)
        self._until_ms = max(self._until_ms, now_ms - BURST_MS) + cost_ms
        return max(0.0, self._until_ms - now_ms)


class LinkConnection:
    """Implements `hub.relays.registry.Connection`. Sends in order without waiting."""

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._queue: deque[str] = deque()
        self._more = asyncio.Event()
        self._closing: tuple[int, str] | None = None

    def send(self, message: BaseModel) -> bool:
        """False when it is closed or its queue is full."""
        if self._socket.closed or self._closing is not None:
            return False
        if len(self._queue) >= MAX_QUEUED:
            self._let_go()
            return False
        self._queue.append(encode_message(message))
        self._more.set()
        return True

    def close(self, code: int, reason: str) -> None:
        """End the link."""
        if self._closing is None:
            self._closing = (code, reason)
            self._more.set()

    async def write(self) -> None:
        """Until closed."""
        while not self._socket.closed:
            await self._more.wait()
            self._more.clear()
            try:
                async with asyncio.timeout(None) as limit:
                    while self._queue and self._closing is None:
                        limit.reschedule(asyncio.get_running_loop().time() + SEND_S)
                        await self._socket.send_str(self._queue.popleft())
                    if self._closing is not None:
                        limit.reschedule(asyncio.get_running_loop().time() + SEND_S)
                        await refuse(self._socket, *self._closing)
                        return
            except TimeoutError:
                self._let_go()
                return
            except (ConnectionError, RuntimeError):
                return  # The reader sees the end of the link too.

    def _let_go(self) -> None:
        """Without a good-bye: it would wait behind what is not read."""
        log.warning("a relay does not read its link")
        self._closing = (1011, "")
        self._queue.clear()
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()


async def refuse(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Close with a sentence: at most 123 bytes of text (RFC 6455 section 5.5.1)."""
    text = reason.encode()[:120].decode(errors="ignore")
    await socket.close(code=code, message=text.encode())
