"""ICE servers in Link headers: row I1."""

from __future__ import annotations

import pytest

from relay.client.link_header import parse_links
from relay.signalling.http import SignallingConfig
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import PUBLISH, VIEW, Hub

STUN = '<stun:stun.example:3478>; rel="ice-server"'
TURN = (
    '<turns:turn.example:443?transport=tcp>; rel="ice-server"; username="1700000000:a,b"; '
    'credential="s;e=c"; credential-type="password"'
)


@pytest.mark.parametrize(("protocol", "sdp"), [("whip", PUBLISH), ("whep", VIEW)])
async def test_i1_every_ice_server_is_a_link_of_its_own(
    make_hub: MakeHub, protocol: str, sdp: str
) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(STUN, TURN)))
    response = await hub.post(protocol, sdp)
    assert response.headers.getall("Link")[:2] == [STUN, TURN]


@pytest.mark.parametrize("headers", [[STUN, TURN], [f"{STUN}, {TURN}"]])
def test_i1_several_links_in_one_header_or_in_several_are_read_alike(headers: list[str]) -> None:
    stun, turn = parse_links(headers)
    assert (stun.rel, stun.target) == ("ice-server", "stun:stun.example:3478")
    assert turn.target == "turns:turn.example:443?transport=tcp"
    assert turn.parameters["username"] == "1700000000:a,b"
    assert turn.parameters["credential"] == "s;e=c"
    assert turn.parameters["credential-type"] == "password"


async def test_i1_none_configured_none_told(hub: Hub) -> None:
    assert "Link" not in (await hub.post("whip", PUBLISH)).headers
