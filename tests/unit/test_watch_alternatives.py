"""The hub's list of other places, as a crowd keeps it."""

from __future__ import annotations

import asyncio

import aiohttp
import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hub.cli.watch import read_bases
from hub.cli.watch_places import ASK_INTERVAL_S, keep_alternatives
from relay.client.places import Alternatives


class Hub:
    """Answers GET /api/me from a list, then with 404."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.tokens: list[str | None] = []
        self.asked = asyncio.Event()

    async def me(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        if not self.answers:
            return web.Response(status=404)
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, str):
            return web.Response(text=answer)
        return web.json_response(answer)


async def keep(hub: Hub) -> tuple[Alternatives, list[tuple[str, ...]], list[float]]:
    """Ask until the hub has said everything: the list before each pause, and the pauses."""
    app = web.Application()
    app.router.add_get("/api/me", hub.me)
    alternatives = Alternatives()
    seen: list[tuple[str, ...]] = []
    pauses: list[float] = []

    async def sleep(delay_s: float) -> None:
        seen.append(alternatives.bases)
        pauses.append(delay_s)

    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = str(server.make_url("/whep/s"))
        await keep_alternatives(http, url, "view-token", alternatives, sleep)
    return alternatives, seen, pauses


async def test_the_list_is_refreshed_while_the_hub_answers() -> None:
    hub = Hub({"alternatives": ["http://a.test"]}, {"alternatives": ["http://b.test/"]})
    _, seen, pauses = await keep(hub)
    assert seen == [("http://a.test",), ("http://b.test",)]
    assert pauses == [ASK_INTERVAL_S] * 2
    assert hub.tokens == ["Bearer view-token"] * 3


@pytest.mark.parametrize("answer", [502, "no JSON", [], {"alternatives": "x"}, {}])
async def test_what_is_no_list_changes_nothing(answer: object) -> None:
    alternatives, _, pauses = await keep(Hub({"alternatives": ["http://a.test"]}, answer))
    assert alternatives.bases == ("http://a.test",)
    assert len(pauses) == 2


async def test_a_server_without_such_a_list_is_not_asked_again() -> None:
    hub = Hub()
    _, _, pauses = await keep(hub)
    assert (len(hub.tokens), pauses) == (1, [])


def test_bases_on_the_command_line() -> None:
    assert read_bases(None) == ()
    assert read_bases("http://a.test, https://b.test:8443/ ,") == (
        "http://a.test",
        "https://b.test:8443/",
    )
    with pytest.raises(click.UsageError):
        read_bases("a.test")
