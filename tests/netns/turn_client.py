"""A TURN client over TCP as tests need it (RFC 8656): one request, one answer, nothing by itself.

Messages are aioice's; what is asked, and when, is the test's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any

from aioice import stun

TIMEOUT_S = 10.0
_UDP = 0x11000000
_HEADER_BYTES = 20


class TurnRefused(Exception):
    """An error answer. code: of ERROR-CODE, e.g. 401, 403, 437, 438, 486."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class TurnConnection:
    """One TCP connection, so one allocation at most. The nonce is followed by itself (438)."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        username: str,
        credential: str,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._username = username
        self._credential = credential
        self._realm = ""
        self._nonce = b""

    async def allocate(self, lifetime_s: int = 600) -> tuple[str, int]:
        """The relayed address. Raises TurnRefused."""
        answer = await self._authorized(
            stun.Method.ALLOCATE, {"LIFETIME": lifetime_s, "REQUESTED-TRANSPORT": _UDP}
        )
        address: tuple[str, int] = answer.attributes["XOR-RELAYED-ADDRESS"]
        return address

    async def refresh(self, lifetime_s: int = 600) -> int:
        """Seconds that the allocation has again; 0 asked for ends it. Raises TurnRefused."""
        answer = await self._authorized(stun.Method.REFRESH, {"LIFETIME": lifetime_s})
        return int(answer.attributes["LIFETIME"])

    async def permit(self, address: str) -> None:
        """Let packets of this peer pass. Raises TurnRefused."""
        peer = {"XOR-PEER-ADDRESS": (address, 9)}
        await self._authorized(stun.Method.CREATE_PERMISSION, peer)

    async def _authorized(self, method: stun.Method, attributes: dict[str, Any]) -> stun.Message:
        """Asked again with the server's realm and nonce as often as it says that they are new."""
        for _ in range(2):
            try:
                return await self._ask(method, attributes)
            except TurnRefused as refusal:
                # 401 with our realm already known: the credential itself is refused.
                if refusal.code != 438 and (refusal.code != 401 or self._asked_with_key):
                    raise
        return await self._ask(method, attributes)

    async def _ask(self, method: stun.Method, attributes: dict[str, Any]) -> stun.Message:
        request = stun.Message(message_method=method, message_class=stun.Class.REQUEST)
        request.attributes.update(attributes)
        self._asked_with_key = bool(self._nonce)
        if self._nonce:
            request.attributes["USERNAME"] = self._username
            request.attributes["REALM"] = self._realm
            request.attributes["NONCE"] = self._nonce
            key = f"{self._username}:{self._realm}:{self._credential}"
            request.add_message_integrity(md5(key.encode(), usedforsecurity=False).digest())
        self._writer.write(bytes(request))
        answer = await self._answer(request.transaction_id)
        given = answer.attributes
        self._realm = given.get("REALM", self._realm)
        self._nonce = given.get("NONCE", self._nonce)
        if answer.message_class == stun.Class.ERROR:
            raise TurnRefused(*given["ERROR-CODE"])
        return answer

    async def _answer(self, transaction_id: bytes) -> stun.Message:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                header = await self._reader.readexactly(_HEADER_BYTES)
                body = await self._reader.readexactly(int.from_bytes(header[2:4], "big"))
                message = stun.parse_message(header + body)
                if message.transaction_id == transaction_id:
                    return message


@contextlib.asynccontextmanager
async def turn_connection(
    sock: socket.socket, server: tuple[str, int], username: str, credential: str
) -> AsyncIterator[TurnConnection]:
    """sock: a TCP socket of the host that asks, not connected yet."""
    await asyncio.get_running_loop().sock_connect(sock, server)
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield TurnConnection(reader, writer, username, credential)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
