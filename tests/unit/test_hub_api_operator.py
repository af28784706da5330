"""The operator's and the studio's API: overview, events with resume, actions, attendance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.signalling.auth import InvalidToken
from tests.unit.hub_fakes import FakeHub, FakeSession, fake_hub, viewer


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[FakeHub]:
    async with fake_hub(tmp_path) as hub:
        hub.poll()
        yield hub


class Events:
    """Reads one event at a time."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Any, str | None]:
        """(name, data, id) of the next event."""
        fields: dict[str, str] = {}
        while True:
            line = (await asyncio.wait_for(self._response.content.readline(), 5)).decode()
            assert line, "the stream has ended"
            if line == "\n" and "data" in fields:
                return fields["event"], json.loads(fields["data"]), fields.get("id")
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value

    async def ended(self) -> bool:
        return await asyncio.wait_for(self._response.content.read(), 5) == b""


async def test_overview(hub: FakeHub) -> None:
    hub.node.show_viewers(viewer("v1", "an-phu"), viewer("v2", "an-phu", rtt_ms=700.0))
    hub.poll()
    response = await hub.client.get("/api/operator/overview", headers=hub.bearer("operate"))
    overview = await response.json()
    stream = overview["stream"]
    assert (stream["name"], stream["state"], stream["viewers"]) == ("phien-hop", "on_air", 2)
    assert stream["keyframes"] == {"asked": 4, "sent": 1, "suppressed": 2, "cache_served": 1}
    source = stream["publishers"][0]
    assert (source["subject"], source["bitrate_bps"], source["fps"]) == ("studio", 2_564_000, 30.0)
    assert source["findings"][0]["vi"] == "Tắt B-frame."
    row = next(c for c in overview["communes"] if c["slug"] == "an-phu")
    assert (row["grade"], row["grade_word"], len(row["sessions"])) == ("bad", "Kém", 2)
    assert row["grade_reason"] == "Độ trễ đường truyền 700 ms: đường truyền của xã"
    assert overview["totals"]["connected"] == 1
    assert overview["title"].startswith("Phiên họp")


async def test_events_begin_with_everything_and_go_on_with_changes(hub: FakeHub) -> None:
    async with hub.client.get("/api/operator/events", headers=hub.bearer("operate")) as response:
        assert response.content_type == "text/event-stream"
        events = Events(response)
        name, data, _ = await events.next()
        assert (name, len(data["communes"])) == ("overview", 2)
        hub.node.show_viewers(viewer("v1", "an-phu"))
        hub.poll()
        names = [await events.next() for _ in range(3)]
        assert [name for name, _, _ in names] == ["stream", "commune", "totals"]
        assert (names[1][1]["slug"], names[1][1]["grade"]) == ("an-phu", "good")
        hub.telemetry.board.close()
        assert await events.ended()


async def test_events_resume_where_they_broke_off(hub: FakeHub) -> None:
    headers = hub.bearer("operate")
    async with hub.client.get("/api/operator/events", headers=headers) as response:
        _, _, last = await Events(response).next()
    hub.node.show_viewers(viewer("v1", "thanh-dong"))
    hub.poll()
    headers["Last-Event-ID"] = str(last)
    async with hub.client.get("/api/operator/events", headers=headers) as response:
        events = Events(response)
        assert (await events.next())[0] == "stream"
        name, data, _ = await events.next()
        assert (name, data["slug"]) == ("commune", "thanh-dong")


@pytest.mark.parametrize("last", ["", "other-1", "{id}-999999", "{id}-", "{id}--1", "{id}-x", "-"])
async def test_a_resume_point_that_means_nothing_brings_everything(hub: FakeHub, last: str) -> None:
    headers = hub.bearer("operate")
    headers["Last-Event-ID"] = last.replace("{id}", hub.telemetry.board.id)
    async with hub.client.get("/api/operator/events", headers=headers) as response:
        assert (await Events(response).next())[0] == "overview"


async def test_events_end_with_the_token(hub: FakeHub) -> None:
    token = hub.token("operate")
    headers = {"Authorization": f"Bearer {token}"}
    async with hub.client.get("/api/operator/events", headers=headers) as response:
        events = Events(response)
        await events.next()
        await hub.context.revocations.revoke("operate", "op")
        hub.node.show_viewers(viewer("v1", "an-phu"))
        hub.poll()
        for _ in range(3):
            await events.next()
        assert await events.ended()


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/close"), ("DELETE", "")])
async def test_close_a_session(hub: FakeHub, method: str, suffix: str) -> None:
    session = hub.node.sessions["v1"] = FakeSession("v1")
    headers = hub.bearer("operate")
    path = f"/api/operator/sessions/v1{suffix}"
    assert (await hub.client.request(method, path, headers=headers)).status == 204
    assert session.closed
    missing = path.replace("v1", "v2")
    assert (await hub.client.request(method, missing, headers=headers)).status == 404


async def test_a_new_link_ends_the_old_one(hub: FakeHub) -> None:
    old = hub.token("view", "an-phu")
    owner = hub.context.verifier.verify(old).token_id
    mine = hub.node.sessions["v1"] = FakeSession("v1", owner=owner)
    other = hub.node.sessions["v2"] = FakeSession("v2")
    hub.node.show_viewers(viewer("v1", "an-phu"), viewer("v2", "thanh-dong"))
    path, headers = "/api/operator/communes/an-phu/link", hub.bearer("operate")
    response = await hub.client.post(path, headers=headers, json={})
    body = await response.json()
    assert (response.status, body["sessions_closed"]) == (201, 1)
    assert body["url"].startswith(f"http://{response.url.host}:{response.url.port}/xem/an-phu#t=")
    assert (mine.closed, other.closed) == (True, False)
    with pytest.raises(InvalidToken):
        hub.context.verifier.verify(old)
    assert hub.context.verifier.verify(body["token"]).subject == "an-phu"
    await hub.client.post(path, headers=headers, json={})
    with pytest.raises(InvalidToken):
        hub.context.verifier.verify(body["token"])


@pytest.mark.parametrize("slug", ["atlantis", "le-dai-hanh"])
async def test_no_link_for_who_does_not_watch(hub: FakeHub, slug: str) -> None:
    path = f"/api/operator/communes/{slug}/link"
    assert (await hub.client.post(path, headers=hub.bearer("operate"))).status == 404


async def test_keyframe_on_demand_but_not_in_a_flood(hub: FakeHub) -> None:
    headers, path = hub.bearer("operate"), "/api/operator/keyframe"
    assert (await hub.client.post(path, headers=headers)).status == 202
    assert hub.node.keyframes == ["phien-hop"]
    flood = await hub.client.post(path, headers=headers)
    assert (flood.status, flood.headers["Retry-After"]) == (429, "1")
    nobody = await hub.client.post(path + "?stream=atlantis", headers=headers)
    assert nobody.status == 404


async def test_attendance(hub: FakeHub) -> None:
    hub.node.show_viewers(viewer("v1", "an-phu"))
    hub.poll()
    hub.node.show_viewers()
    hub.poll(120)
    headers = hub.bearer("operate")
    body = await (await hub.client.get("/api/operator/attendance", headers=headers)).json()
    row = next(c for c in body["communes"] if c["slug"] == "an-phu")
    assert (row["seconds"], row["present"], len(row["intervals"])) == (120, False, 1)
    path = "/api/operator/attendance?format=csv"
    response = await hub.client.get(path, headers=headers)
    lines = (await response.read()).decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("an-phu,Xã An Phú,1970-01-12")
    assert lines[2] == "thanh-dong,Phường Thành Đông,,,0,0,0"
    wrong = await hub.client.get("/api/operator/attendance?format=xls", headers=headers)
    assert wrong.status == 400


async def test_studio_status(hub: FakeHub) -> None:
    hub.node.show_viewers(viewer("v1", "an-phu"), viewer("v2", "thanh-dong"))
    hub.poll()
    headers = hub.bearer("publish", "studio", "phien-hop")
    status = await (await hub.client.get("/api/studio/status", headers=headers)).json()
    assert (status["viewers"], status["communes_watching"]) == (2, 2)
    assert status["stream"]["publisher"]["id"] == "pub1"
    assert status["findings"][0]["code"] == "b_frames"
    headers = hub.bearer("publish", "studio", "du-phong")
    other = await (await hub.client.get("/api/studio/status", headers=headers)).json()
    assert (other["stream"]["state"], other["viewers"], other["findings"]) == ("off", 0, [])


async def test_studio_events(hub: FakeHub) -> None:
    headers = hub.bearer("publish", "studio", "phien-hop")
    async with hub.client.get("/api/studio/events", headers=headers) as response:
        events = Events(response)
        assert (await events.next())[1]["viewers"] == 0
        hub.node.show_viewers(viewer("v1", "an-phu"))
        hub.poll()
        name, data, _ = await events.next()
        assert (name, data["viewers"]) == ("status", 1)
