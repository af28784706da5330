"""Who is sent to a relay, who is served by the hub, who is asked to come back later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.relays.placing_node import REQUEST_SCHEME, PlacingNode
from hub.relays.registry import RelayRegistry
from hub.relays.tickets import TicketOffice
from hub.tokens import TokenIssuer
from relay.control.messages import Beat, Hello, Report
from relay.node.media_node import MediaNode
from relay.node.snapshot import NodeSnapshot
from relay.signalling.auth import TokenVerifier
from relay.signalling.node_protocol import Accepted, Grant, Redirected, Refused
from relay.signalling.offer import Offer
from tests.unit.hub_fakes import stream, viewer

OFFER = cast(Offer, None)
HERE = cast(Accepted, object())


class Link:
    def send(self, message: object) -> bool:
        return True

    def close(self, code: int, reason: str) -> None: ...


class Scene:
    """A hub's node and its relays. now_ms moves by hand."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.registry = RelayRegistry()
        self.issuer = TokenIssuer(Ed25519PrivateKey.generate())
        self.pins: dict[str, str] = {}
        self.on_air: tuple[str, ...] = ()
        node = SimpleNamespace(
            streams={"phien-hop": SimpleNamespace(codecs_on_air=lambda: self.on_air)},
            config=SimpleNamespace(retry_after_s=2),
            view=self._served,
            publish=self._served,
            session=lambda session_id: session_id,
        )
        self.node = PlacingNode(
            cast(MediaNode, node),
            self.registry,
            TicketOffice(self.issuer),
            chosen=self.pins.get,
            clock=lambda: self.now_ms,
            max_viewers_per_commune=2,
        )

    async def _served(self, *_: Any) -> Accepted:
        return HERE

    def relay(self, name: str, **more: object) -> None:
        hello = Hello(
            id=name,
            instance="i",
            version="1",
            pid=1,
            base_url=f"http://{name}:80",
            media_port=7000,
            capacity=100,
            **more,  # type: ignore[arg-type]
        )
        relay = self.registry.hello(hello, Link(), self.now_ms)
        self.registry.on_beat(relay, Beat(viewers=0, ready=True, draining=False), self.now_ms)

    def report(self, name: str, *communes: str, state: str = "on_air") -> None:
        viewers = tuple(viewer(f"{name}-{n}", slug) for n, slug in enumerate(communes))
        snapshot = NodeSnapshot((stream(viewers, state=state),), 0.0, 0.0, 7000)
        self.registry.on_report(self.registry.get(name), Report(snapshot=snapshot), self.now_ms)

    async def where(self, grant: Grant, name: str = "phien-hop") -> str:
        """The URL that a viewer is sent to; "" when it is served here."""
        try:
            assert await self.node.view(name, OFFER, grant) is HERE
        except Redirected as redirected:
            return redirected.url
        return ""


def grant(scope: str = "view", subject: str = "an-phu", **more: object) -> Grant:
    return Grant(scope, subject, "phien-hop", "jti", time.time() + 600, **more)  # type: ignore[arg-type]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def over_tls() -> Iterator[None]:
    token = REQUEST_SCHEME.set("https")
    yield
    REQUEST_SCHEME.reset(token)


async def test_without_relays_the_hub_serves(scene: Scene) -> None:
    assert await scene.where(grant()) == ""


async def test_a_viewer_gets_a_ticket_for_its_relay(scene: Scene) -> None:
    scene.relay("relay-1")
    url = await scene.where(grant())
    base, _, ticket = url.partition("?ticket=")
    assert base == "http://relay-1:80/whep/phien-hop"
    told = TokenVerifier([scene.issuer.public_key], node_id="relay-1").verify(ticket)
    assert (told.scope, told.subject, told.token_id) == ("view", "an-phu", "jti")
    assert told.ticket_id


@pytest.mark.parametrize("who", [grant("relay", "relay-9"), grant(ticket_id="t")])
async def test_relays_and_tickets_are_served_here(scene: Scene, who: Grant) -> None:
    scene.relay("relay-1")
    assert await scene.where(who) == ""


async def test_a_stream_that_nobody_knows_is_for_the_node_to_refuse(scene: Scene) -> None:
    scene.relay("relay-1")
    assert await scene.where(grant(), "nothing") == ""


async def test_an_operators_choice_goes_first(scene: Scene) -> None:
    for name in ("a", "b", "c"):
        scene.relay(name)
    for name in ("a", "b", "c"):
        scene.pins["an-phu"] = name
        assert (await scene.where(grant())).startswith(f"http://{name}:80/")
        assert scene.node.alternatives_for("an-phu")[0] == f"http://{name}:80"


async def test_a_viewer_that_comes_back_unseen_goes_elsewhere(scene: Scene) -> None:
    scene.relay("a")
    scene.relay("b")
    first = (await scene.where(grant())).partition("/whep/")[0]
    scene.now_ms = 400.0
    second = (await scene.where(grant())).partition("/whep/")[0]
    assert {first, second} == {"http://a:80", "http://b:80"}


@pytest.mark.usefixtures("over_tls")
async def test_a_page_on_https_goes_to_relays_with_https_or_to_nobody(scene: Scene) -> None:
    scene.relay("plain")
    assert await scene.where(grant()) == ""
    assert scene.node.alternatives_for("an-phu") == []
    scene.relay("tls", https_url="https://tls:443")
    assert (await scene.where(grant())).startswith("https://tls:443/whep/phien-hop?ticket=")
    assert scene.node.alternatives_for("an-phu") == ["https://tls:443"]


async def test_nobody_is_sent_where_every_report_says_that_nothing_is_on_the_air(
    scene: Scene,
) -> None:
    scene.relay("relay-1")
    assert await scene.where(grant())  # no report yet: nobody can tell
    scene.report("relay-1", state="idle")
    with pytest.raises(Refused) as refused:
        await scene.where(grant())
    assert (refused.value.status, refused.value.retry_after_s) == (409, 2)
    scene.on_air = ("H264",)
    assert await scene.where(grant())
    scene.on_air = ()
    scene.relay("origin", role="origin")
    assert await scene.where(grant())  # the origin may have it
    scene.report("origin", state="idle")
    with pytest.raises(Refused):
        await scene.where(grant())
    scene.report("origin")
    assert await scene.where(grant())


async def test_a_viewer_that_waits_for_the_broadcast_is_not_taken_for_lost(scene: Scene) -> None:
    for name in ("a", "b"):
        scene.relay(name)
        scene.report(name, state="idle")
    for _ in range(5):
        with pytest.raises(Refused):
            await scene.where(grant())
        scene.now_ms += 100.0
    assert [load.viewers for load in scene.registry.loads(scene.now_ms)] == [0, 0]
    assert scene.registry.unreached("an-phu", "jti", scene.now_ms) == frozenset()


async def test_a_commune_has_its_limit_over_all_relays(scene: Scene) -> None:
    for name in ("a", "b"):
        scene.relay(name)
        scene.report(name, "an-phu")
    with pytest.raises(Refused) as refused:
        await scene.where(grant())
    assert refused.value.status == 429
    assert await scene.where(grant(subject="ha-bac"))


async def test_who_must_leave_a_relay_goes_to_another_with_a_ticket(scene: Scene) -> None:
    scene.relay("a")
    where = {"away_from": "a", "to": None}
    assert scene.node.move_url("an-phu", "phien-hop", **where) is None  # type: ignore[arg-type]
    scene.relay("b")
    url = scene.node.move_url("an-phu", "phien-hop", away_from="a", to=None)
    assert url is not None
    ticket = url.removeprefix("http://b:80/whep/phien-hop?ticket=")
    told = TokenVerifier([scene.issuer.public_key], node_id="b").verify(ticket)
    assert (told.subject, told.stream) == ("an-phu", "phien-hop")


async def test_publishers_and_sessions_are_the_nodes_own(scene: Scene) -> None:
    scene.relay("relay-1")
    assert await scene.node.publish("phien-hop", OFFER, grant("publish", "studio")) is HERE
    assert cast(str, scene.node.session("s")) == "s"
