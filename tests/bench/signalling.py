"""How the load client's viewers reach a server: WHEP, or another server's own API."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol
from urllib.parse import urljoin

import aiohttp

from tests.bench import sdp
from tests.bench.tally import AUDIO, REPAIR, VIDEO
from tests.bench.viewer import Viewer


class JoinRefusedError(Exception):
    """The server did not let a viewer in; the message says what it answered."""


class Signalling(Protocol):
    kind_of_payload_type: ClassVar[dict[int, int]]

    async def open(self) -> None: ...
    async def join(self, viewer: Viewer) -> sdp.Remote: ...
    async def leave(self, viewer: Viewer) -> None: ...
    async def close(self) -> None: ...


class WhepSignalling:
    """WHEP with bearer tokens used in turn; each viewer has a TCP connection of its own."""

    kind_of_payload_type: ClassVar[dict[int, int]] = {
        sdp.OPUS_PT: AUDIO,
        sdp.H264_PT: VIDEO,
        sdp.RTX_PT: REPAIR,
    }

    def __init__(self, url: str, tokens: list[str]) -> None:
        self._url = url
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector)

    def _headers(self, viewer: Viewer) -> dict[str, str]:
        token = self._tokens[viewer.index % len(self._tokens)] if self._tokens else ""
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def join(self, viewer: Viewer) -> sdp.Remote:
        assert self._session is not None
        offer = sdp.viewer_offer(viewer.credentials)
        headers = {**self._headers(viewer), "Content-Type": "application/sdp"}
        async with self._session.post(self._url, data=offer, headers=headers) as response:
            text = await response.text()
            if response.status != 201:
                raise JoinRefusedError(f"{response.status}: {text[:300]}")
            viewer.location = urljoin(str(response.url), response.headers["Location"])
        return sdp.parse_remote(text)

    async def leave(self, viewer: Viewer) -> None:
        assert self._session is not None
        if viewer.location:
            async with self._session.delete(viewer.location, headers=self._headers(viewer)):
                pass

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
