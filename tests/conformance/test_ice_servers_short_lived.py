"""TURN credentials that live for minutes: row I2."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from relay.client.link_header import parse_links
from relay.signalling.http import SignallingConfig
from relay.signalling.ice_servers import TurnServers, stun_link
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import PUBLISH, STREAM, VIEW, bearer, fragment, problem, token

SECRET = "shared with coturn"
STUN = '<stun:stun.example>; rel="ice-server"'
URLS = ("turn:turn.example:3478", "turns:turn.example:443?transport=tcp")
TURN = TurnServers(URLS, SECRET, lifetime_s=300)


@pytest.mark.parametrize(("protocol", "sdp"), [("whip", PUBLISH), ("whep", VIEW)])
async def test_i2_each_session_gets_credentials_that_end_within_minutes(
    make_hub: MakeHub, protocol: str, sdp: str
) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    before_s = time.time()
    response = await hub.post(protocol, sdp, "an-phu")
    links = [x for x in parse_links(response.headers.getall("Link")) if x.rel == "ice-server"]
    assert [link.target for link in links] == list(URLS)
    for link in links:
        end, _, label = link.parameters["username"].partition(":")
        assert label == "an-phu"
        assert before_s + 299 <= int(end) <= time.time() + 300
        own = hmac.new(SECRET.encode(), link.parameters["username"].encode(), hashlib.sha1)
        assert base64.b64decode(link.parameters["credential"]) == own.digest()
        assert link.parameters["credential-type"] == "password"


@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_i2_an_ice_restart_brings_new_credentials(make_hub: MakeHub, protocol: str) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    path, etag, _ = await hub.open(protocol, "an-phu")
    trickled = await hub.patch(path, fragment("a=end-of-candidates"), etag, "an-phu")
    assert (trickled.status, "Link" in trickled.headers) == (204, False)
    new = fragment("a=ice-ufrag:newU", "a=ice-pwd:newpassword-newpassword-1")
    restarted = await hub.patch(path, new, "*", "an-phu")
    assert restarted.status == 200
    links = parse_links(restarted.headers.getall("Link"))
    assert [link.target for link in links] == list(URLS)
    assert links[0].parameters["username"].endswith(":an-phu")


@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_i2_who_has_a_token_is_told_before_a_session(
    make_hub: MakeHub, protocol: str
) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(STUN,), turn=TURN))
    headers = bearer("publish" if protocol == "whip" else "view", "an-phu")
    asked = await hub.call("OPTIONS", f"/{protocol}/{STREAM}", headers=headers)
    assert asked.status == 200
    assert asked.headers["Cache-Control"] == "no-store"
    links = parse_links(asked.headers.getall("Link"))
    assert [link.target for link in links] == ["stun:stun.example", *URLS]
    assert links[1].parameters["username"].endswith(":an-phu")


async def test_i2_a_ticket_in_the_url_is_a_token_and_is_not_used_up(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    url = f"/whep/{STREAM}?ticket={token('view', tid='t1')}"
    for _ in range(2):
        asked = await hub.call("OPTIONS", url)
        assert len(asked.headers.getall("Link")) == len(URLS)
    sdp = {"Content-Type": "application/sdp"}
    assert (await hub.call("POST", url, headers=sdp, body=VIEW)).status == 201


async def test_i2_without_a_token_there_are_no_credentials(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(STUN,), turn=TURN))
    asked = await hub.call("OPTIONS", f"/whep/{STREAM}")
    assert asked.status == 200
    assert asked.headers.getall("Link") == [STUN]
    refused = await hub.post("whep", "junk")
    problem(refused, 400)
    assert "Link" not in refused.headers


async def test_i2_a_token_that_may_not_watch_gets_none(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(STUN,), turn=TURN))
    junk = {"Authorization": "Bearer junk"}
    problem(await hub.call("OPTIONS", f"/whep/{STREAM}", headers=junk), 401)
    publisher = bearer("publish")
    problem(await hub.call("OPTIONS", f"/whep/{STREAM}", headers=publisher), 403)
    other = await hub.call("OPTIONS", "/whep/du-phong", headers=bearer("view"))
    problem(other, 403)
    assert "Link" not in other.headers


async def test_i2_a_preflight_gets_none_whatever_it_carries(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(STUN,), turn=TURN))
    headers = {**bearer("view", "an-phu"), "Access-Control-Request-Method": "OPTIONS"}
    asked = await hub.call("OPTIONS", f"/whep/{STREAM}", headers=headers)
    assert asked.status == 200
    assert "options" in asked.headers["Access-Control-Allow-Methods"].lower()
    assert "Link" not in asked.headers


async def test_i2_who_asks_without_end_is_told_to_wait(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN, rate=1, burst=2))
    statuses = [(await hub.call("OPTIONS", f"/whep/{STREAM}")).status for _ in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("subject", ['x"; rel="evil', "a\r\nX-Evil: 1", "phường", "a" * 500])
async def test_i2_a_subject_cannot_break_out_of_the_header(make_hub: MakeHub, subject: str) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    response = await hub.post("whep", VIEW, subject)
    assert response.status == 201
    assert "X-Evil" not in response.headers
    links = parse_links(response.headers.getall("Link"))
    assert [link.target for link in links if link.rel == "ice-server"] == list(URLS)
    assert all(len(link.parameters.get("username", "")) <= 80 for link in links)


@pytest.mark.parametrize(
    "url",
    [
        "https://turn.example",
        "turn:",
        "turn:a b",
        'turn:a>; rel="x',
        "turn:a:",
        "turn:a:0",
        "turn:a:65536",
        "turn:a?transport=sctp",
        "turn:::1",
        "turn:-a",
        "stun:a",
        "turns:a:443?transport=tcp\n",
    ],
)
def test_i2_what_is_no_turn_uri_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="TURN URI"):
        TurnServers([url], SECRET)


@pytest.mark.parametrize("url", ["turn:10.0.0.1", "turn:[2001:db8::7]:3478", "turns:a.vn:443"])
def test_i2_turn_uris_of_names_and_addresses(url: str) -> None:
    assert f"<{url}>" in TurnServers([url], SECRET).links("an-phu", 0.0)[0]


@pytest.mark.parametrize("url", ["turn:a", "stun:", "stun:a?transport=udp", "stun:a:0"])
def test_i2_what_is_no_stun_uri_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="STUN URI"):
        stun_link(url)


def test_i2_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(TURN)
