"""Tickets of redirects, the keys of sessions made with them, and relays that pull (2.9)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from relay.signalling.auth import TokenVerifier
from relay.signalling.http import FRAGMENT, SDP, SignallingConfig, signalling_routes
from relay.signalling.node_protocol import Redirected
from relay.signalling.ticket_book import KEEP_S, MAX_TICKETS, TicketBook
from tests.conformance.fake_node import FakeNode
from tests.conformance.hub_client import KEY, STREAM, VIEW, Hub, Reply, bearer, fragment, token

NODE = "relay-1"
SDP_TYPE = {"Content-Type": SDP}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def relay(hub: Hub) -> AsyncIterator[Hub]:
    """The same endpoints as a node that has a name."""
    node = FakeNode()
    app = web.Application()
    verifier = TokenVerifier([KEY.public_key()], node_id=NODE)
    config = SignallingConfig(rate=10_000, burst=10_000, body_timeout_s=0.3)
    app.add_routes(signalling_routes(node, node.events, verifier, config))
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.5, lingering_time=0.2)
    hub_server, hub.server, hub.node = hub.server, server, node
    yield hub
    await server.close()
    hub.server = hub_server


def ticket(tid: str = "t1", relay: str = NODE, **claims: object) -> str:
    return token("view", tid=tid, relay=relay, **claims)


async def post(hub: Hub, query: str, **headers: str) -> Reply:
    path = f"/whep/{STREAM}{query}"
    return await hub.call("POST", path, headers={**SDP_TYPE, **headers}, body=VIEW)


async def opened(hub: Hub, tid: str = "t1") -> str:
    """Location of a session made with a ticket."""
    reply = await post(hub, f"?ticket={ticket(tid)}")
    assert reply.status == 201, reply.text
    return reply.headers["Location"]


async def test_a_session_made_with_a_ticket_has_its_key_in_its_urls(relay: Hub) -> None:
    reply = await post(relay, f"?ticket={ticket()}")
    location = URL(reply.headers["Location"])
    assert set(location.query) == {"key"}
    assert len(location.query["key"]) >= 32
    assert f"/sse?key={location.query['key']}>" in reply.headers["Link"]
    grant = relay.node.grants[0]
    assert (grant.subject, grant.ticket_id) == ("a", "t1")


async def test_a_session_made_with_a_header_has_none(relay: Hub) -> None:
    reply = await post(relay, "", **bearer("view"))
    assert "?" not in reply.headers["Location"]
    assert "?" not in reply.headers["Link"].partition(">")[0]


async def test_the_key_alone_trickles_restarts_listens_and_ends(relay: Hub) -> None:
    location = await opened(relay)
    base = location.partition("?")[0]
    session = next(iter(relay.node.sessions.values()))
    headers = {"Content-Type": FRAGMENT, "If-Match": f'"{session.etag}"'}
    ufrag = session.ufrags[-1]
    trickle = fragment(f"a=ice-ufrag:{ufrag}", "a=ice-pwd:" + "x" * 24)
    assert (await relay.call("PATCH", location, headers=headers, body=trickle)).status == 204
    sse = location.replace("?", "/sse?")
    reply = await relay.call("POST", sse, headers=JSON, body=json.dumps(["active"]))
    assert reply.status == 201
    assert reply.headers["Location"].startswith(f"{base}/sse/")
    assert (await relay.call("DELETE", location)).status == 200
    assert (await relay.call("DELETE", location)).status == 404


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong", "?key=%00%ff"])
async def test_without_the_right_key_nothing_moves(relay: Hub, query: str) -> None:
    base = (await opened(relay)).partition("?")[0]
    for method in ("DELETE", "PATCH"):
        assert (await relay.call(method, base + query)).status == 401
    assert relay.node.sessions


async def test_one_sessions_key_does_not_open_another(relay: Hub) -> None:
    first, second = await opened(relay, "t1"), await opened(relay, "t2")
    crossed = second.partition("?")[0] + "?" + first.partition("?")[2]
    assert (await relay.call("DELETE", crossed)).status == 401
    assert len(relay.node.sessions) == 2


async def test_the_owners_token_does_what_the_key_does(relay: Hub) -> None:
    base = (await opened(relay)).partition("?")[0]
    assert (await relay.call("DELETE", base, headers=bearer("view", "other"))).status == 403
    assert (await relay.call("DELETE", base, headers=bearer("view"))).status == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"relay": "relay-2"}, 401),
        ({"exp": 1_000_000_000}, 401),
        ({"stream": "another"}, 403),
        ({"aud": "somebody"}, 401),
    ],
)
async def test_a_ticket_for_something_else_is_refused(
    relay: Hub, claims: dict[str, object], status: int
) -> None:
    assert (await post(relay, f"?ticket={ticket(**claims)}")).status == status  # type: ignore[arg-type]


async def test_a_ticket_is_no_good_where_nodes_have_other_names(hub: Hub) -> None:
    assert (await post(hub, f"?ticket={ticket()}")).status == 401


async def test_a_ticket_is_for_one_viewer(relay: Hub) -> None:
    await opened(relay)
    session = next(iter(relay.node.sessions.values()))
    session.connected = True
    assert (await post(relay, f"?ticket={ticket()}")).status == 403
    assert list(relay.node.sessions.values()) == [session]
    await session.close()
    assert (await post(relay, f"?ticket={ticket()}")).status == 201


async def test_a_repeated_post_takes_the_place_of_a_session_that_never_came_up(relay: Hub) -> None:
    await opened(relay)
    first = next(iter(relay.node.sessions.values()))
    await opened(relay)
    assert first.closed
    assert len(relay.node.sessions) == 1


async def test_a_redirect_and_every_refusal_can_be_read_by_any_page(relay: Hub) -> None:
    relay.node.refuse = Redirected("http://relay-2:1/whep/x?ticket=secret")
    for origin in ("null", "https://somewhere.example"):
        reply = await post(relay, "", Origin=origin, **bearer("view"))
        assert reply.status == 307
        assert reply.headers["Location"] == "http://relay-2:1/whep/x?ticket=secret"
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "no-store" in reply.headers["Cache-Control"]
        refused = await post(relay, "", Origin=origin)
        assert refused.status == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "*"


async def test_tickets_and_keys_are_never_logged(
    relay: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    location = await opened(relay)
    relay.node.refuse = RuntimeError("made to fail")
    await post(relay, f"?ticket={ticket('t2')}")
    key = URL(location).query["key"]
    # The test server's access log is its own; hub and relays run without one.
    ours = [r for r in caplog.records if r.name != "aiohttp.access"]
    text = "\n".join(f"{r.getMessage()} {r.__dict__}" for r in ours)
    assert "request failed" in text
    for secret in ("?ticket=", key):
        assert secret not in text


# -- relays that pull


async def test_a_relay_pulls_with_its_path_and_hears_the_lineage(relay: Hub) -> None:
    path = {"Wardcast-Path": "b, c ,d"}
    reply = await post(relay, "", **bearer("relay", "b"), **path)
    assert reply.status == 201
    assert relay.node.grants[0].path == ("b", "c", "d")
    assert reply.headers["Wardcast-Lineage"] == "origin, fake"


async def test_a_relay_without_a_path_is_its_own(relay: Hub) -> None:
    assert (await post(relay, "", **bearer("relay", "b"))).status == 201
    assert relay.node.grants[0].path == ("b",)


@pytest.mark.parametrize(
    "path", ["", ",", "a,,b", "a b", "x" * 65, ",".join("a" * 70), "a\tb", "é"]
)
async def test_a_path_that_is_none_is_refused(relay: Hub, path: str) -> None:
    reply = await post(relay, "", **bearer("relay", "b"), **{"Wardcast-Path": path})
    assert reply.status in ((201,) if not path else (400,))


async def test_viewers_have_neither_path_nor_lineage(relay: Hub) -> None:
    reply = await post(relay, "", **bearer("view"), **{"Wardcast-Path": "a,b"})
    assert relay.node.grants[0].path == ()
    assert "Wardcast-Lineage" not in reply.headers


async def test_a_relays_token_does_not_publish(relay: Hub) -> None:
    reply = await relay.call(
        "POST", f"/whip/{STREAM}", headers={**SDP_TYPE, **bearer("relay")}, body=VIEW
    )
    assert reply.status == 403


# -- the book


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1000)), max_size=60))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_the_book_forgets_what_no_ticket_can_be(uses: list[tuple[str, float]]) -> None:
    book = TicketBook()
    now_s, last = 0.0, {}
    for name, wait_s in uses:
        now_s += wait_s
        found = book.session_of(name, now_s)
        known = last.get(name)
        if known is not None and now_s - known[1] <= KEEP_S:
            assert found == known[0]
        session = f"{name}{now_s}"
        book.note(name, session, now_s)
        last[name] = (session, now_s)


def test_the_book_is_bounded() -> None:
    book = TicketBook()
    for number in range(MAX_TICKETS + 10):
        book.note(str(number), "s", 0.0)
    assert book.session_of("0", 0.0) is None
    assert book.session_of(str(MAX_TICKETS), 0.0) == "s"
