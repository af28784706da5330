"""DELETE and what comes after it: rows D1-D3."""

from __future__ import annotations

import pytest

from tests.conformance.hub_client import STREAM, Hub, problem
from tests.conformance.test_patch import TRICKLE


@pytest.mark.parametrize("protocol", ["whip", "whep"])
@pytest.mark.parametrize("if_match", [None, '"something-else"', "W/"])
async def test_d1_delete_is_200_whatever_if_match_says(
    hub: Hub, protocol: str, if_match: str | None
) -> None:
    path, _, session = await hub.open(protocol)
    headers = {"If-Match": if_match} if if_match else {}
    response = await hub.delete(path, **headers)
    assert response.status == 200
    assert session.closed
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_d2_a_second_delete_is_404(hub: Hub) -> None:
    path, _, _ = await hub.open("whep")
    await hub.delete(path)
    problem(await hub.delete(path), 404)


async def test_d3_patch_after_delete_is_404(hub: Hub) -> None:
    path, etag, _ = await hub.open("whep")
    await hub.delete(path)
    problem(await hub.patch(path, TRICKLE, etag), 404)


async def test_d3_a_session_is_not_found_under_another_name(hub: Hub) -> None:
    path, _, session = await hub.open("whep")
    problem(await hub.delete(path.replace(STREAM, "another")), 404)
    problem(await hub.delete(path.replace("/whep/", "/whip/")), 404)
    assert not session.closed
