"""Redirects to a node that a viewer knows to be silent."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.client.errors import UnauthorizedError, UnreachableError
from relay.client.traced_session import TracedSession


async def test_a_hub_that_does_not_know_yet_is_not_obeyed() -> None:
    async def send_on(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/whep/s?ticket=x"})

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, text="used")

    app = web.Application()
    app.router.add_post("/whep/s", send_on)
    app.router.add_post("/whep/t", refuse)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        home = str(server.make_url("/whep/s"))
        session = TracedSession(http, home, "token", shun="http://127.0.0.1:9")
        with pytest.raises(UnreachableError, match="just fallen silent"):
            await session.post_offer("v=0")
        assert session.origin == "http://127.0.0.1:9"
        origin = str(server.make_url("/").origin())
        alone = TracedSession(http, str(server.make_url("/whep/t")), "token", shun=origin)
        with pytest.raises(UnauthorizedError):
            await alone.post_offer("v=0")
        assert alone.origin == origin
