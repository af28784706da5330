"""What waits for a relay that does not read, and how fast one that talks too much is heard."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from hub.relays.link_connection import (
    BURST_MS,
    MAX_QUEUED,
    MESSAGE_MS,
    OCTETS_PER_MESSAGE,
    LinkConnection,
    ReadingPace,
)
from relay.control.messages import Keyframe, encode_message

MESSAGE = Keyframe(stream="phien-hop")


class Socket:
    """Takes messages once it may."""

    closed = False

    def __init__(self) -> None:
        self.may_send = asyncio.Event()
        self.sent: list[str] = []
        self.ended: tuple[int, bytes] | None = None

    async def send_str(self, text: str) -> None:
        await self.may_send.wait()
        self.sent.append(text)

    async def close(self, *, code: int, message: bytes) -> None:
        self.closed, self.ended = True, (code, message)


class Transport(asyncio.WriteTransport):
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def connection_of(socket: Socket, transport: Transport) -> LinkConnection:
    return LinkConnection(cast(web.WebSocketResponse, socket), transport)


async def test_messages_go_out_in_order_and_a_close_ends_them() -> None:
    socket, transport = Socket(), Transport()
    connection = connection_of(socket, transport)
    socket.may_send.set()
    assert connection.send(Keyframe(stream="a"))
    assert connection.send(Keyframe(stream="b"))
    writer = asyncio.create_task(connection.write())
    await asyncio.sleep(0)
    connection.close(4001, "linked anew " + "ạ" * 60)
    await writer
    assert socket.sent == [encode_message(Keyframe(stream=s)) for s in ("a", "b")]
    assert socket.ended is not None
    code, reason = socket.ended
    assert code == 4001
    assert len(reason) <= 123
    assert reason.decode().startswith("linked anew")
    assert not connection.send(MESSAGE)
    assert not transport.aborted


async def test_a_relay_that_does_not_read_is_let_go() -> None:
    socket, transport = Socket(), Transport()
    connection = connection_of(socket, transport)
    writer = asyncio.create_task(connection.write())
    for _ in range(MAX_QUEUED):
        assert connection.send(MESSAGE)
    assert not connection.send(MESSAGE)
    assert transport.aborted
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


def test_who_talks_as_relays_do_is_heard_at_once() -> None:
    pace = ReadingPace()
    assert all(pace.wait_ms(80, n * 200.0) == 0 for n in range(100))
    assert all(pace.wait_ms(500_000, 20_000 + n * 1000.0) == 0 for n in range(100))


def test_a_backlog_is_taken_at_once_and_a_flood_slowly() -> None:
    pace = ReadingPace()
    burst = int(BURST_MS / MESSAGE_MS)
    assert [pace.wait_ms(80, 0.0) for _ in range(burst)] == [0.0] * burst
    assert pace.wait_ms(80, 0.0) == MESSAGE_MS
    assert pace.wait_ms(4 * OCTETS_PER_MESSAGE, 0.0) == 5 * MESSAGE_MS
