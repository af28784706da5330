"""Taking over a stream: what row K2 asks of the answer."""

from __future__ import annotations

from tests.conformance.hub_client import PUBLISH, Hub, bearer, problem


async def test_k1_the_same_publisher_gets_a_second_session_beside_the_first(hub: Hub) -> None:
    first_path, _, first = await hub.open("whip", "studio")
    second_path, _, _ = await hub.open("whip", "studio")
    assert first_path != second_path
    assert not first.closed


async def test_k2_another_publisher_is_409_and_the_sitting_one_unharmed(hub: Hub) -> None:
    _, _, sitting = await hub.open("whip", "studio")
    response = await hub.post("whip", PUBLISH, "intruder")
    assert "live" in str(problem(response, 409)["detail"])
    assert int(response.headers["Retry-After"]) >= 1
    assert not sitting.closed
    assert list(hub.node.sessions.values()) == [sitting]


async def test_k2_a_view_token_cannot_end_a_broadcast(hub: Hub) -> None:
    path, _, sitting = await hub.open("whip", "studio")
    response = await hub.call("DELETE", path, headers=bearer("view", "studio"))
    problem(response, 403)
    assert not sitting.closed
