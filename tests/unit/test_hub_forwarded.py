"""Whom the hub believes about where a request came from."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from hub.api.forwarded import forwarded


async def echo(request: web.Request) -> web.Response:
    return web.json_response([request.remote, request.scheme, await request.text()])


async def seen(trusted: tuple[str, ...], headers: list[tuple[str, str]]) -> list[str]:
    app = web.Application(middlewares=[forwarded(trusted)])
    app.router.add_post("/", echo)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        response = await client.post("/", data="body", headers=headers)
        return list(await response.json())


FOR, PROTO = "X-Forwarded-For", "X-Forwarded-Proto"


@pytest.mark.parametrize(
    ("trusted", "headers", "remote", "scheme"),
    [
        ((), [(FOR, "203.0.113.9"), (PROTO, "https")], "127.0.0.1", "http"),
        (("10.0.0.1",), [(FOR, "203.0.113.9")], "127.0.0.1", "http"),
        (("127.0.0.1",), [], "127.0.0.1", "http"),
        (("127.0.0.1",), [(FOR, "203.0.113.9"), (PROTO, "https")], "203.0.113.9", "https"),
        (("::ffff:127.0.0.1",), [(FOR, "2001:db8:0::9")], "2001:db8::9", "http"),
        (("127.0.0.1",), [(FOR, "1.1.1.1, 203.0.113.9")], "203.0.113.9", "http"),
        (("127.0.0.1",), [(FOR, "1.1.1.1"), (FOR, "203.0.113.9")], "203.0.113.9", "http"),
        (("127.0.0.1", "10.0.0.1"), [(FOR, "203.0.113.9, 10.0.0.1")], "203.0.113.9", "http"),
        (("127.0.0.1",), [(FOR, "203.0.113.9, nonsense")], "127.0.0.1", "http"),
        (("127.0.0.1",), [(PROTO, "gopher")], "127.0.0.1", "http"),
    ],
)
async def test_only_our_own_proxies_are_believed(
    trusted: tuple[str, ...], headers: list[tuple[str, str]], remote: str, scheme: str
) -> None:
    assert await seen(trusted, headers) == [remote, scheme, "body"]
