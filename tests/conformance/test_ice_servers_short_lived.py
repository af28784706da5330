"""TURN credentials that live for minutes: row I2."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from relay.client.link_header import parse_links
from relay.signalling.http import SignallingConfig
from relay.signalling.ice_servers import TurnServers
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import PUBLISH, STREAM, VIEW, problem

SECRET = "shared with coturn"
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


async def test_i2_nobody_gets_credentials_without_a_session(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    asked = await hub.call("OPTIONS", f"/whep/{STREAM}")
    assert "Link" not in asked.headers
    refused = await hub.post("whep", "junk")
    problem(refused, 400)
    assert "Link" not in refused.headers


@pytest.mark.parametrize("subject", ['x"; rel="evil', "a\r\nX-Evil: 1", "phường", "a" * 500])
async def test_i2_a_subject_cannot_break_out_of_the_header(make_hub: MakeHub, subject: str) -> None:
    hub = await make_hub(SignallingConfig(turn=TURN))
    response = await hub.post("whep", VIEW, subject)
    assert response.status == 201
    assert "X-Evil" not in response.headers
    links = parse_links(response.headers.getall("Link"))
    assert [link.target for link in links if link.rel == "ice-server"] == list(URLS)
    assert all(len(link.parameters.get("username", "")) <= 80 for link in links)


@pytest.mark.parametrize("url", ["https://turn.example", "turn:", "turn:a b", 'turn:a>; rel="x'])
def test_i2_what_is_no_turn_uri_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="TURN URI"):
        TurnServers([url], SECRET)


def test_i2_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(TURN)
