"""Janus's streaming plugin over its WebSocket API: attach, watch, answer the offer it makes."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any, ClassVar

import aiohttp

from tests.bench import sdp
from tests.bench.tally import AUDIO, REPAIR, VIDEO
from tests.bench.viewer import Viewer

_PATIENCE_S = 15.0
_KEEPALIVE_S = 20.0


class JanusSignalling:
    """One Janus session, a handle a viewer."""

    kind_of_payload_type: ClassVar[dict[int, int]] = {
        sdp.OPUS_PT: AUDIO,
        sdp.H264_PT: VIDEO,
        sdp.RTX_PT: REPAIR,
    }

    def __init__(self, url: str, mountpoint: int) -> None:
        self._url = url
        self._mountpoint = mountpoint
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._session_id = 0
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(self._url, protocols=["janus-protocol"])
        self._tasks = [asyncio.create_task(self._read())]
        reply = await self._ask({"janus": "create"})
        self._session_id = reply["data"]["id"]
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def _read(self) -> None:
        """Give replies to who waits. An "ack" only says that the real reply follows."""
        assert self._socket is not None
        async for message in self._socket:
            reply = json.loads(message.data)
            if reply.get("janus") == "ack":
                continue
            waiting = self._waiting.pop(reply.get("transaction", ""), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(reply)

    async def _keep_alive(self) -> None:
        assert self._socket is not None
        while True:
            await asyncio.sleep(_KEEPALIVE_S)
            message = {"janus": "keepalive", "session_id": self._session_id, "transaction": "k"}
            await self._socket.send_json(message)

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._socket is not None
        transaction = str(next(self._numbers))
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = future
        if self._session_id:
            message["session_id"] = self._session_id
        await self._socket.send_json({**message, "transaction": transaction})
        reply = await asyncio.wait_for(future, _PATIENCE_S)
        if reply.get("janus") == "error":
            raise ValueError(f"Janus: {reply['error']}")
        return reply

    async def join(self, viewer: Viewer) -> sdp.Remote:
        attached = await self._ask({"janus": "attach", "plugin": "janus.plugin.streaming"})
        handle = attached["data"]["id"]
        body = {"request": "watch", "id": self._mountpoint}
        watched = await self._ask({"janus": "message", "handle_id": handle, "body": body})
        if "jsep" not in watched:
            raise ValueError(f"Janus made no offer: {watched}")
        remote = sdp.parse_remote(watched["jsep"]["sdp"])
        # Janus ties its sockets to their interface: only that interface's address answers it.
        candidate = viewer.candidate(remote.address[0])
        text = sdp.viewer_answer(viewer.credentials, remote, candidate)
        answer = {"type": "answer", "sdp": text}
        body = {"request": "start"}
        await self._ask({"janus": "message", "handle_id": handle, "body": body, "jsep": answer})
        return remote

    async def leave(self, viewer: Viewer) -> None:
        """Closing the session frees every handle."""

    async def close(self) -> None:
        if self._socket is not None and self._session_id:
            await self._ask({"janus": "destroy"})
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None:
            await self._http.close()
