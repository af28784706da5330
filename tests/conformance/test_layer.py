"""A viewer asks for a layer, or tells how large it shows the picture."""

from __future__ import annotations

import pytest

from relay.signalling.node_protocol import LayerRequest
from tests.conformance.hub_client import VIEW, Hub, Reply, bearer


async def ask(hub: Hub, body: str, method: str = "POST", **headers: str) -> Reply:
    """Ask for a layer in a fresh session."""
    created = await hub.post("whep", VIEW)
    words = {"Content-Type": "application/json", **bearer("view"), **headers}
    path = created.headers["Location"] + "/layer"
    return await hub.call(method, path, headers=words, body=body)


def wishes(hub: Hub) -> list[LayerRequest]:
    (session,) = hub.node.sessions.values()
    return session.wishes


async def test_a_layer_and_a_size_are_taken(hub: Hub) -> None:
    response = await ask(hub, '{"encodingId": "m", "maxWidth": 640, "maxHeight": 360, "x": 1}')
    assert response.status == 204
    given = frozenset({"encodingId", "maxWidth", "maxHeight"})
    assert wishes(hub) == [LayerRequest(given, "m", 640, 360)]


async def test_null_takes_a_wish_back_and_what_is_not_said_stays(hub: Hub) -> None:
    assert (await ask(hub, '{"encodingId": null}')).status == 204
    assert wishes(hub) == [LayerRequest(frozenset({"encodingId"}))]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"m"',
        '{"encodingId": 3}',
        '{"encodingId": "a b"}',
        '{"maxWidth": -1}',
        '{"maxWidth": 1.5}',
        '{"maxHeight": true}',
        '{"maxHeight": "360"}',
        '{"maxHeight": 1000000}',
        "[" * 4000,
    ],
)
async def test_what_cannot_be_read_is_400(hub: Hub, body: str) -> None:
    assert (await ask(hub, body)).status == 400
    assert wishes(hub) == []


async def test_limits(hub: Hub) -> None:
    assert (await ask(hub, "{}", **{"Content-Type": "text/plain"})).status == 415
    assert (await ask(hub, " " * 5000)).status == 413
    assert (await ask(hub, "", "GET")).status == 405
    response = await ask(hub, "", "OPTIONS")
    assert response.status == 200
    assert response.headers["Accept-Post"] == "application/json"


async def test_only_its_owner_may_ask(hub: Hub) -> None:
    assert (await ask(hub, "{}", Authorization="")).status == 401
    assert (await ask(hub, "{}", **bearer("view", "ha-bac"))).status == 403
