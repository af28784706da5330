"""The relay's end of the link: keeps it open, beats and reports, hands on what the hub says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import aiohttp
from pydantic import BaseModel

from relay.client.backoff import Backoff
from relay.control.messages import (
    MAX_MESSAGE_BYTES,
    Beat,
    Close,
    Directory,
    Drain,
    Hello,
    Keyframe,
    LayerPin,
    MessageError,
    Move,
    Report,
    Revoked,
    Welcome,
    encode_message,
    read_from_hub,
)

PATH = "/api/relay/link"
BEAT_S = 0.2
BEATS_PER_REPORT = 5
PING_S = 2.0
"""A hub that does not answer pings for half as long again is gone."""
RETRY_BASE_S = 0.2
RETRY_CAP_S = 2.0

FromHub = Welcome | Directory | Revoked | Move | Close | Keyframe | Drain | LayerPin

log = logging.getLogger(__name__)


class LinkOwner(Protocol):
    """What the link asks of its relay."""

    def hello(self) -> Hello: ...

    def beat(self) -> Beat: ...

    def report(self) -> Report: ...

    def on_message(self, message: FromHub) -> None: ...


class HubLink:
    """`run` until cancelled. linked: the hub has said welcome and the link stands."""

    def __init__(
        self,
        hub_url: str,
        token: str,
        http: aiohttp.ClientSession,
        owner: LinkOwner,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.linked = False
        self._url = hub_url.rstrip("/") + PATH
        self._token = token
        self._http = http
        self._owner = owner
        self._on_change = on_change
        self._hurry = asyncio.Event()
        self._told = ""

    def hurry(self) -> None:
        """Beat now: something changed that the hub must know at once."""
        self._hurry.set()

    async def run(self) -> None:
        """Link, again and again."""
        backoff = Backoff(base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        while True:
            reason = ""
            try:
                reason = await self._session(backoff)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            self._set(False)
            self._say(f"no link to the hub: {reason}")
            await asyncio.sleep(backoff.failed())

    async def _session(self, backoff: Backoff) -> str:
        """One connection; why it ended."""
        async with self._http.ws_connect(
            self._url,
            headers={"Authorization": f"Bearer {self._token}"},
            heartbeat=PING_S,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as socket:
            await socket.send_str(encode_message(self._owner.hello()))
            sender = asyncio.create_task(self._send(socket))
            try:
                async for frame in socket:
                    if frame.type != aiohttp.WSMsgType.TEXT:
                        continue
                    self._take(frame.data, backoff)
            finally:
                sender.cancel()
                with suppress(asyncio.CancelledError, aiohttp.ClientError, OSError):
                    await sender
            return f"closed ({socket.close_code})"

    def _take(self, text: str, backoff: Backoff) -> None:
        try:
            message = read_from_hub(text)
        except MessageError as error:
            log.warning("a message of the hub cannot be read: %s", error)
            return
        if message is None:
            return
        if isinstance(message, Welcome):
            backoff.succeeded()
            self._told = ""
            log.info("linked to the hub")
        self._owner.on_message(message)
        if isinstance(message, Welcome):
            self._set(True)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        number = 0
        while True:
            message: BaseModel = self._owner.beat()
            await socket.send_str(encode_message(message))
            if number % BEATS_PER_REPORT == 0:
                await socket.send_str(encode_message(self._owner.report()))
            number += 1
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._hurry.wait()

    def _set(self, linked: bool) -> None:
        if linked != self.linked:
            self.linked = linked
            self._on_change(linked)

    def _say(self, text: str) -> None:
        """Once for each new reason: an absent hub must not fill the log."""
        if text != self._told:
            self._told = text
            log.warning(text)
