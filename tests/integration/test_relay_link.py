"""The hub's end of the link over real sockets: who is let in, what is placed, what ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.config import HubConfig, PlacementConfig
from hub.relays.link_endpoint import LinkEndpoint
from hub.relays.registry import RelayRegistry
from hub.server import Hub, running_hub
from hub.tokens import KEY_FILE, TokenIssuer, load_or_create_key
from relay.control.messages import (
    Beat,
    Close,
    Directory,
    Hello,
    Move,
    Report,
    Revoked,
    Welcome,
    encode_message,
    read_from_hub,
)
from relay.node.snapshot import NodeSnapshot
from relay.signalling.auth import TokenVerifier
from tests.integration.test_hub_server import bearer, config_of
from tests.unit.hub_fakes import stream, viewer
from tests.unit.sdp_samples import OFFERS

LINK = "/api/relay/link"
OFFER = (OFFERS / "chrome_view.sdp").read_text()


@asynccontextmanager
async def serving(
    tmp_path: Path, **changes: object
) -> AsyncIterator[tuple[Hub, TokenIssuer, aiohttp.ClientSession]]:
    config: HubConfig = config_of(tmp_path).model_copy(update=changes)
    issuer = TokenIssuer(load_or_create_key(tmp_path / KEY_FILE))
    async with (
        running_hub(config) as hub,
        aiohttp.ClientSession(hub.listeners.base_url()) as http,
    ):
        yield hub, issuer, http


def hello(name: str = "relay-1", **more: object) -> Hello:
    return Hello(
        id=name,
        instance=f"of-{name}",
        version="1",
        pid=1,
        base_url=f"http://127.0.0.1:1/{name}",
        media_port=1,
        capacity=100,
        **more,  # type: ignore[arg-type]
    )


class Linked:
    """A relay's end that does as it is told here."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, message: Hello | Beat | Report) -> None:
        await self.socket.send_str(encode_message(message))

    async def hear(self, kind: type, matches: Callable[[object], bool] = lambda _: True) -> object:
        """The next message of this kind."""
        async with asyncio.timeout(5):
            while True:
                message = read_from_hub((await self.socket.receive()).data)
                if isinstance(message, kind) and matches(message):
                    return message

    async def closed(self) -> int | None:
        """Until the hub closes; the code."""
        async with asyncio.timeout(10):
            async for _ in self.socket:
                pass
        return self.socket.close_code


@asynccontextmanager
async def linking(
    http: aiohttp.ClientSession, issuer: TokenIssuer, subject: str = "relay-1"
) -> AsyncIterator[Linked]:
    token = issuer.issue("relay", subject, "*", 600)
    # A flooded hub reads our good-bye late: no need to wait for its own.
    wait = aiohttp.ClientWSTimeout(ws_close=1.0)
    async with http.ws_connect(LINK, headers=bearer(token), timeout=wait) as socket:
        yield Linked(socket)


async def placed(http: aiohttp.ClientSession, token: str) -> str | None:
    """Where the hub sends a viewer; None when it does not."""
    headers = {**bearer(token), "Content-Type": "application/sdp"}
    post = http.post("/whep/phien-hop", data=OFFER, headers=headers, allow_redirects=False)
    async with post as answer:
        await answer.read()
        return answer.headers["Location"] if answer.status == 307 else None


async def until_placed(http: aiohttp.ClientSession, token: str, where: str | None) -> str | None:
    """Until the hub sends viewers there."""
    async with asyncio.timeout(5):
        while True:
            url = await placed(http, token)
            if (url or "").partition("/whep/")[0] == (where or ""):
                return url
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("scope", "status"), [("view", 403), ("publish", 403), ("operate", 403)])
async def test_only_relays_link(tmp_path: Path, scope: str, status: int) -> None:
    async with serving(tmp_path) as (_, issuer, http):
        token = issuer.issue(scope, "relay-1", "*", 600)  # type: ignore[arg-type]
        for headers, expected in ((bearer(token), status), (bearer("x"), 401), ({}, 401)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await http.ws_connect(LINK, headers=headers)
            assert error.value.status == expected


async def test_a_relay_is_welcomed_placed_and_left_when_its_link_breaks(tmp_path: Path) -> None:
    async with serving(tmp_path, placement=PlacementConfig(keep_warm=("phien-hop",))) as (
        hub,
        issuer,
        http,
    ):
        token = hub.links.view_tokens["an-phu"]
        assert await placed(http, token) is None
        async with linking(http, issuer) as relay:
            await relay.say(hello())
            welcome = await relay.hear(Welcome)
            assert isinstance(welcome, Welcome)
            assert welcome.streams == ("phien-hop", "du-phong")
            assert welcome.keep_warm == ("phien-hop",)
            directory = await relay.hear(Directory)
            assert isinstance(directory, Directory)
            assert directory.origins == (hub.listeners.viewer_url(),)
            assert await placed(http, token) is None  # it has not said that it is ready
            await relay.say(Beat(viewers=0, ready=True, draining=False))
            url = await until_placed(http, token, "http://127.0.0.1:1/relay-1")
            assert url is not None
            ticket = url.partition("?ticket=")[2]
            grant = TokenVerifier([issuer.public_key], node_id="relay-1").verify(ticket)
            assert (grant.scope, grant.subject, grant.stream) == ("view", "an-phu", "phien-hop")
            original = TokenVerifier([issuer.public_key]).verify(token)
            assert grant.token_id == original.token_id
            assert grant.ticket_id
        await until_placed(http, token, None)


async def test_a_relay_that_falls_silent_or_drains_is_passed_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, issuer, http):
        token = hub.links.view_tokens["an-phu"]
        async with linking(http, issuer, "a") as a, linking(http, issuer, "b") as b:
            for name, relay in (("a", a), ("b", b)):
                await relay.say(hello(name))
                await relay.say(Beat(viewers=0, ready=True, draining=False))
            first = None
            async with asyncio.timeout(5):
                while first is None:
                    first = await placed(http, token)
                    await asyncio.sleep(0.02)
            name = first.partition("/whep/")[0][-1]
            leaving, other = (a, "b") if name == "a" else (b, "a")
            await leaving.say(Beat(viewers=0, ready=True, draining=True))
            staying = b if leaving is a else a
            await staying.say(Beat(viewers=0, ready=True, draining=False))
            await until_placed(http, token, f"http://127.0.0.1:1/{other}")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("not json", 4400),
        ('{"type":"beat","viewers":0,"ready":true,"draining":false}', 4400),
        ('{"type":"hello"}', 4400),
        (encode_message(hello("somebody-else")), 4403),
    ],
)
async def test_who_does_not_say_who_he_is_is_closed(tmp_path: Path, first: str, code: int) -> None:
    async with serving(tmp_path) as (_, issuer, http), linking(http, issuer) as relay:
        await relay.socket.send_str(first)
        assert await relay.closed() == code


async def test_nonsense_later_ends_the_link_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, issuer, http):
        async with linking(http, issuer) as relay:
            await relay.say(hello())
            await relay.hear(Welcome)
            await relay.socket.send_str('{"type":"beat","viewers":-1}')
            assert await relay.closed() == 4400
        async with linking(http, issuer) as relay:
            await relay.say(hello())
            assert await relay.hear(Welcome)
        async with http.get("/healthz") as answer:
            assert answer.status == 200


async def test_messages_are_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, issuer, http), linking(http, issuer) as relay:
        await relay.say(hello())
        await relay.hear(Welcome)
        await relay.socket.send_bytes(encode_message(hello()).encode())
        assert await relay.closed() == 4400


async def test_a_relay_that_floods_its_link_is_heard_slowly_and_stops_nobody(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path) as (hub, issuer, http),
        linking(http, issuer, "a") as a,
        linking(http, issuer, "b") as b,
    ):
        await a.say(hello("a"))
        await a.hear(Welcome)

        async def flood() -> None:
            beat = Beat(viewers=1, ready=True, draining=True)
            with suppress(ConnectionError):
                while True:
                    for _ in range(500):
                        await a.say(beat)
                    await asyncio.sleep(0)

        flooding = asyncio.create_task(flood())
        try:
            await b.say(hello("b"))
            await b.say(Beat(viewers=0, ready=True, draining=False))
            token = hub.links.view_tokens["an-phu"]
            assert await until_placed(http, token, "http://127.0.0.1:1/b")
            async with http.get("/healthz") as answer:
                assert answer.status == 200
        finally:
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)


async def test_a_relay_that_does_not_read_its_link_is_let_go() -> None:
    issuer = TokenIssuer(Ed25519PrivateKey.generate())
    registry = RelayRegistry()
    endpoint = LinkEndpoint(
        registry,
        TokenVerifier([issuer.public_key]),
        welcome=lambda: Welcome(streams=(), public_keys=()),
        directory=lambda _: Directory(),
        on_change=lambda: None,
        clock=lambda: asyncio.get_running_loop().time() * 1000,
    )
    app = web.Application()
    app.add_routes(endpoint.routes())
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as http:
        async with linking(http, issuer) as deaf:
            await deaf.say(hello())
            await deaf.hear(Welcome)
            relay = registry.get("relay-1")
            # Nobody receives from here on: its buffers fill up, then those of the hub.
            async with asyncio.timeout(20):
                while relay.send(Close(session="x" * 60_000)):
                    await asyncio.sleep(0)
                while relay.connection is not None:
                    await asyncio.sleep(0.01)
        async with linking(http, issuer) as again:
            await again.say(hello())
            assert await again.hear(Welcome)


async def test_two_processes_with_one_id_are_told_apart(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (_, issuer, http),
        linking(http, issuer) as first,
        linking(http, issuer) as second,
    ):
        await first.say(hello())
        await first.hear(Welcome)
        await first.say(Beat(viewers=0, ready=True, draining=False))
        await first.say(Beat(viewers=0, ready=True, draining=False))
        other = hello().model_copy(update={"instance": "other", "pid": 2})
        await second.say(other)
        assert await second.closed() == 4409


async def test_a_worker_links_with_its_relays_token(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, issuer, http), linking(http, issuer) as relay:
        await relay.say(hello("relay-1-2"))
        assert await relay.hear(Welcome)


async def test_a_revoked_commune_is_told_to_relays(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, issuer, http), linking(http, issuer) as relay:
        await relay.say(hello())
        await relay.hear(Welcome)
        headers = bearer(hub.links.operate_token)
        async with http.post("/api/operator/communes/an-phu/link", headers=headers) as answer:
            assert answer.status == 201
        told = await relay.hear(Revoked)
        assert isinstance(told, Revoked)
        assert told.owner == "view.an-phu"


async def test_other_relays_are_named_to_a_relay_and_to_a_page(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (hub, issuer, http),
        linking(http, issuer, "a") as a,
        linking(http, issuer, "b") as b,
    ):
        for name, relay in (("a", a), ("b", b)):
            await relay.say(hello(name))
            await relay.say(Beat(viewers=0, ready=True, draining=False))
        other = "http://127.0.0.1:1/b"
        await a.hear(Directory, lambda d: other in getattr(d, "relays", ()))
        for relay in (a, b):
            await relay.say(Beat(viewers=0, ready=True, draining=False))
        headers = bearer(hub.links.view_tokens["an-phu"])
        async with http.get("/api/me", headers=headers) as answer:
            alternatives = (await answer.json())["alternatives"]
        assert sorted(alternatives) == ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]


async def test_a_commune_has_its_limit_over_all_relays(tmp_path: Path) -> None:
    media = config_of(tmp_path).media.model_copy(update={"max_viewers_per_commune": 2})
    async with (
        serving(tmp_path, media=media) as (hub, issuer, http),
        linking(http, issuer, "a") as a,
        linking(http, issuer, "b") as b,
    ):
        for name, relay in (("a", a), ("b", b)):
            await relay.say(hello(name))
            await relay.say(Beat(viewers=1, ready=True, draining=False))
            snapshot = NodeSnapshot((stream((viewer(f"of-{name}", "an-phu"),)),), 0.0, 0.0, 1)
            await relay.say(Report(snapshot=snapshot))
            await relay.say(Beat(viewers=1, ready=True, draining=False))
        headers = {**bearer(hub.links.view_tokens["an-phu"]), "Content-Type": "application/sdp"}
        async with asyncio.timeout(5):
            while True:
                async with http.post(
                    "/whep/phien-hop", data=OFFER, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status == 429:
                        assert answer.headers["Retry-After"]
                        break
                for relay in (a, b):
                    await relay.say(Beat(viewers=1, ready=True, draining=False))
        assert await placed(http, hub.links.view_tokens["ha-bac"]) is not None


async def test_an_operator_closes_and_moves_sessions_of_a_relay(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, issuer, http), linking(http, issuer) as relay:
        await relay.say(hello())
        await relay.hear(Welcome)
        snapshot = NodeSnapshot((stream((viewer("s1", "an-phu"),)),), 0.0, 0.0, 1)
        await relay.say(Report(snapshot=snapshot))
        headers = bearer(hub.links.operate_token)
        async with asyncio.timeout(5):
            while True:
                async with http.delete("/api/operator/sessions/s1", headers=headers) as answer:
                    if answer.status == 204:
                        break
        told = await relay.hear(Close)
        assert isinstance(told, Close)
        assert told.session == "s1"
        async with http.post("/api/operator/relays/relay-1/move", headers=headers) as answer:
            assert (await answer.json())["moving"] == 1
        moved = await relay.hear(Move)
        assert isinstance(moved, Move)
        # Nobody else is there: the hub serves itself.
        assert moved.url.endswith("/whep/phien-hop")
        async with http.post("/api/operator/relays/nobody/move", headers=headers) as answer:
            assert answer.status == 404
