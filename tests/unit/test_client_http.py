"""The HTTP half of the clients against small aiohttp servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.client.errors import (
    BadAnswerError,
    ClientError,
    NotNowError,
    OverloadedError,
    RejectedError,
    ServerFailureError,
    SessionGoneError,
    UnauthorizedError,
    UnreachableError,
)
from relay.client.http_session import HttpSession, retry_after_s
from relay.client.link_header import parse_links

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def serve(*routes: tuple[str, str, Handler]) -> TestServer:
    app = web.Application()
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    server = TestServer(app)
    await server.start_server()
    return server


def created(location: str, etag: str = '"one"') -> web.Response:
    return web.Response(
        status=201,
        body=b"answer",
        headers={
            "Content-Type": "application/sdp; charset=utf-8",
            "Location": location,
            "ETag": etag,
            "Link": '<sse>; rel="events"; events="active,inactive", <stun:h>; rel=ice-server',
        },
    )


async def test_a_session_from_post_to_delete(http: aiohttp.ClientSession) -> None:
    seen: list[tuple[str, str | None, str | None, str]] = []

    async def note(request: web.Request) -> None:
        seen.append(
            (
                request.method,
                request.headers.get("Authorization"),
                request.headers.get("If-Match"),
                await request.text(),
            )
        )

    async def post(request: web.Request) -> web.Response:
        await note(request)
        return created("/session/7")

    async def patch(request: web.Request) -> web.Response:
        await note(request)
        return web.Response(text="fragment", headers={"ETag": '"two"'})

    async def delete(request: web.Request) -> web.Response:
        await note(request)
        return web.Response()

    server = await serve(
        ("POST", "/whep/s", post), ("PATCH", "/session/7", patch), ("DELETE", "/session/7", delete)
    )
    async with server:
        session = HttpSession(http, str(server.make_url("/whep/s")), "secret")
        assert await session.post_offer("offer") == "answer"
        assert session.session_url == server.make_url("/session/7")
        assert session.etag == '"one"'
        assert [link.rel for link in session.links] == ["events", "ice-server"]
        assert await session.restart_ice("new") == "fragment"
        assert session.etag == '"two"'
        await session.delete()
        await session.delete()
    bearer = "Bearer secret"
    assert seen == [
        ("POST", bearer, None, "offer"),
        ("PATCH", bearer, '"*"', "new"),
        ("DELETE", bearer, None, ""),
    ]


async def test_a_redirect_to_another_origin_does_not_carry_the_token(
    http: aiohttp.ClientSession,
) -> None:
    tokens: list[str | None] = []
    queries: list[str] = []

    async def edge(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization"))
        queries.append(request.query_string)
        return created("/session/1")

    edge_server = await serve(("POST", "/whep/s", edge))

    async def hub(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization"))
        if request.path == "/whep/s":
            return web.Response(status=307, headers={"Location": "/again"})
        return web.Response(
            status=307, headers={"Location": str(edge_server.make_url("/whep/s?ticket=t"))}
        )

    hub_server = await serve(("POST", "/whep/s", hub), ("POST", "/again", hub))
    async with edge_server, hub_server:
        session = HttpSession(http, str(hub_server.make_url("/whep/s")), "secret")
        await session.post_offer("offer")
        assert session.session_url == edge_server.make_url("/session/1")
    assert tokens == ["Bearer secret", "Bearer secret", None]
    assert queries == ["ticket=t"]


async def test_a_circle_of_redirects_ends(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/"})

    async with await serve(("POST", "/", handler)) as server:
        with pytest.raises(BadAnswerError, match="circle"):
            await HttpSession(http, str(server.make_url("/"))).post_offer("x")


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, RejectedError, False),
        (401, UnauthorizedError, False),
        (403, UnauthorizedError, False),
        (404, SessionGoneError, True),
        (409, NotNowError, True),
        (422, RejectedError, False),
        (429, OverloadedError, True),
        (500, ServerFailureError, True),
        (503, OverloadedError, True),
        (302, BadAnswerError, False),
    ],
)
async def test_refusals_are_typed(
    http: aiohttp.ClientSession, status: int, kind: type[ClientError], retryable: bool
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(
            status=status,
            text='{"detail": "nothing is on air"}',
            content_type="application/problem+json",
            headers={"Retry-After": "4"},
        )

    async with await serve(("POST", "/", handler)) as server:
        with pytest.raises(kind, match="nothing is on air") as caught:
            await HttpSession(http, str(server.make_url("/"))).post_offer("x")
    assert caught.value.retry_after_s == 4.0
    assert caught.value.status == status
    assert caught.value.retryable is retryable


async def test_an_html_page_is_not_shown_as_a_sentence(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>nginx</html>")

    async with await serve(("POST", "/", handler)) as server:
        with pytest.raises(ServerFailureError, match="502 Bad Gateway"):
            await HttpSession(http, str(server.make_url("/"))).post_offer("x")


async def test_a_201_without_location_is_refused(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=201, text="x", content_type="application/sdp")

    async with await serve(("POST", "/", handler)) as server:
        with pytest.raises(BadAnswerError, match="no Location"):
            await HttpSession(http, str(server.make_url("/"))).post_offer("x")


async def test_nobody_there(http: aiohttp.ClientSession) -> None:
    async with await serve() as server:
        url = str(server.make_url("/whep/s?token=secret"))
    with pytest.raises(UnreachableError, match="cannot be reached") as caught:
        await HttpSession(http, url).post_offer("x")
    assert "secret" not in caught.value.detail


async def test_an_endless_answer_is_cut(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=201, body=bytes(300_000))

    async with await serve(("POST", "/", handler)) as server:
        with pytest.raises(UnreachableError, match="too long"):
            await HttpSession(http, str(server.make_url("/"))).post_offer("x")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("-1", 0.0),
        ("soon", None),
        ("nan", None),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 20.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, 40.0) == seconds


def test_links_in_one_header_and_in_several() -> None:
    links = parse_links(
        [
            '<turn:t?transport=tcp>; rel="ice-server"; username="u, \\"v"; credential="c;d",'
            ' <stun:s>; rel="ice-server"',
            "<https://h/sse>; REL=events;events=active",
        ]
    )
    assert [link.target for link in links] == ["turn:t?transport=tcp", "stun:s", "https://h/sse"]
    assert links[0].parameters["username"] == 'u, "v'
    assert links[0].parameters["credential"] == "c;d"
    assert links[2].rel == "events"
