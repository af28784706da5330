"""GET, HEAD, OPTIONS and CORS: rows G1-G5."""

from __future__ import annotations

import pytest

from relay.signalling.http import SignallingConfig
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import STREAM, VIEW, Hub, problem

LINK = '<stun:stun.example>; rel="ice-server"'
PREFLIGHT = {
    "Origin": "https://player.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def words(value: str) -> set[str]:
    return {word.strip().lower() for word in value.split(",")}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_g1_get_has_success_and_no_content(hub: Hub, protocol: str, method: str) -> None:
    path, _, session = await hub.open(protocol)
    for target in (f"/{protocol}/{STREAM}", path):
        response = await hub.call(method, target)
        assert response.status in (200, 204)
        assert response.body == b""
    assert not session.closed


@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_g2_options_of_an_endpoint(hub: Hub, protocol: str) -> None:
    response = await hub.call("OPTIONS", f"/{protocol}/{STREAM}", headers=PREFLIGHT)
    assert response.status == 200
    assert response.headers["Accept-Post"] == "application/sdp"
    assert "post" in words(response.headers["Access-Control-Allow-Methods"])
    allowed = words(response.headers["Access-Control-Allow-Headers"])
    assert {"authorization", "content-type", "if-match"} <= allowed
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_g2_options_of_a_session(hub: Hub) -> None:
    path, _, _ = await hub.open("whep")
    response = await hub.call("OPTIONS", path, headers=PREFLIGHT)
    assert response.status == 200
    assert {"patch", "delete"} <= words(response.headers["Access-Control-Allow-Methods"])
    assert "if-match" in words(response.headers["Access-Control-Allow-Headers"])
    assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"


@pytest.mark.parametrize("origin", ["https://player.example", "null", None])
async def test_g3_pages_of_any_origin_can_read_the_answer(hub: Hub, origin: str | None) -> None:
    response = await hub.post("whep", VIEW, **({"Origin": origin} if origin else {}))
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = words(response.headers["Access-Control-Expose-Headers"])
    assert {"location", "etag", "link", "retry-after", "accept-post"} <= exposed


async def test_g4_ice_servers_are_told_to_options_but_not_to_preflight(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(ice_servers=(LINK,)))
    asked = await hub.call("OPTIONS", f"/whep/{STREAM}")
    preflight = await hub.call("OPTIONS", f"/whep/{STREAM}", headers=PREFLIGHT)
    assert asked.headers.getall("Link") == [LINK]
    assert "Link" not in preflight.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "PROPFIND"])
async def test_g5_other_methods_on_an_endpoint_are_405(hub: Hub, method: str) -> None:
    response = await hub.call(method, f"/whip/{STREAM}")
    problem(response, 405)
    assert words(response.headers["Allow"]) == {"options", "get", "head", "post"}


@pytest.mark.parametrize("method", ["PUT", "POST", "PROPFIND"])
async def test_g5_other_methods_on_a_session_are_405(hub: Hub, method: str) -> None:
    path, _, session = await hub.open("whep")
    response = await hub.call(method, path)
    problem(response, 405)
    assert {"patch", "delete"} <= words(response.headers["Allow"])
    assert not session.closed
