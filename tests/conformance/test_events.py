"""The events extension of WHEP: rows X1-X5."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from relay.signalling import sse
from tests.conformance.hub_client import STREAM, VIEW, Hub, Reply, bearer, problem


async def subscribe(hub: Hub, path: str, body: str, subject: str = "a", **headers: str) -> Reply:
    sent = {"Content-Type": "application/json", **bearer("view", subject), **headers}
    return await hub.call("POST", f"{path}/sse", headers=sent, body=body)


async def opened(hub: Hub, *names: str) -> tuple[str, str]:
    """(session path, path of a stream of these events)."""
    path, _, _ = await hub.open("whep")
    response = await subscribe(hub, path, json.dumps(names))
    assert response.status == 201
    return path, response.headers["Location"]


class Reader:
    """Blocks of an event stream, one at a time."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str]:
        """The next block: fields by name, comments under ""; empty at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(5):
            while line := (await self.response.content.readline()).decode():
                if line == "\n":
                    return fields
                name, _, value = line.rstrip("\n").partition(": ")
                assert name not in fields, "an event has one line of each kind"
                fields[name.rstrip(":") if name else ""] = value
        return fields


@asynccontextmanager
async def reading(hub: Hub, path: str, last: str | None = None) -> AsyncIterator[Reader]:
    headers = {"Last-Event-ID": last} if last is not None else {}
    async with hub.http.get(hub.server.make_url(path), headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        reader = Reader(response)
        assert set(await reader.block()) == {"retry"}
        yield reader


async def test_x1_a_viewer_is_told_where_events_are(hub: Hub) -> None:
    response = await hub.post("whep", VIEW)
    link, layer = response.headers.getall("Link")
    assert layer == (
        f'<{response.headers["Location"]}/layer>; rel="urn:ietf:params:whep:ext:core:layer"'
    )
    assert link == (
        f"<{response.headers['Location']}/sse>; "
        'rel="urn:ietf:params:whep:ext:core:server-sent-events"; '
        'events="active,inactive,line,reconnect,viewercount"'
    )


async def test_x2_post_makes_a_stream_and_get_reads_it(hub: Hub) -> None:
    path, location = await opened(hub, "active", "reconnect")
    assert location.startswith(f"{path}/sse/")
    assert len(location.rsplit("/", 1)[1]) >= 22
    async with reading(hub, location) as reader:
        hub.node.events.stream_event(STREAM, "active", {})
        assert (await reader.block())["event"] == "active"


async def test_x2_get_does_not_subscribe(hub: Hub) -> None:
    path, _, _ = await hub.open("whep")
    response = await hub.call("GET", f"{path}/sse", headers=bearer("view"))
    problem(response, 405)
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('["active","weather"]', 400),
        ("[]", 400),
        ('{"a":1}', 400),
        ("[1]", 400),
        ('"active"', 400),
        ("", 400),
        ("[" * 50_000, 400),
        ("9" * 5_000, 400),
        ('["' + "x" * 70_000 + '"]', 413),
    ],
)
async def test_x2_what_cannot_be_subscribed_makes_no_stream(
    hub: Hub, body: str, status: int
) -> None:
    path, _, session = await hub.open("whep")
    response = await subscribe(hub, path, body)
    problem(response, status)
    assert "Location" not in response.headers
    assert not session.closed


async def test_x2_the_body_must_be_json(hub: Hub) -> None:
    path, _, _ = await hub.open("whep")
    problem(await subscribe(hub, path, '["active"]', **{"Content-Type": "text/plain"}), 415)


async def test_x2_options_of_the_events(hub: Hub) -> None:
    path, location = await opened(hub, "active")
    response = await hub.call("OPTIONS", f"{path}/sse")
    assert response.status == 200
    assert response.headers["Accept-Post"] == "application/json"
    stream = await hub.call("OPTIONS", location)
    assert "GET" in stream.headers["Access-Control-Allow-Methods"]
    assert "Last-Event-ID" in stream.headers["Access-Control-Allow-Headers"]


async def test_x2_h3_events_of_somebody_elses_session_are_refused(hub: Hub) -> None:
    path, location = await opened(hub, "active")
    problem(await subscribe(hub, path, '["active"]', "another-commune"), 403)
    other, _, _ = await hub.open("whep", "another-commune")
    problem(await hub.call("GET", f"{other}/sse/{location.rsplit('/', 1)[1]}"), 404)
    problem(await hub.call("GET", location[:-2]), 404)


async def test_x3_an_event_is_a_name_and_one_line_of_json(hub: Hub) -> None:
    _, location = await opened(hub, "viewercount", "active")
    hub.node.events.stream_event(STREAM, "viewercount", {"viewercount": 3})
    hub.node.events.stream_event(STREAM, "active", {"note": "a\nb"})
    async with reading(hub, location) as reader:
        count = await reader.block()
        assert count["event"] == "viewercount"
        assert count["data"] == '{"viewercount":3}'
        assert json.loads((await reader.block())["data"]) == {"note": "a\nb"}


async def test_x3_inactive_is_never_the_first_event(hub: Hub) -> None:
    _, location = await opened(hub, "active", "inactive")
    hub.node.events.stream_event(STREAM, "inactive", {})
    hub.node.events.stream_event(STREAM, "active", {})
    hub.node.events.stream_event(STREAM, "inactive", {})
    async with reading(hub, location) as reader:
        assert [(await reader.block())["event"] for _ in range(2)] == ["active", "inactive"]


async def test_x3_a_stream_on_air_is_told_at_once(hub: Hub) -> None:
    hub.node.events.stream_event(STREAM, "active", {})
    hub.node.events.stream_event(STREAM, "viewercount", {"viewercount": 9})
    _, location = await opened(hub, "active", "viewercount")
    async with reading(hub, location) as reader:
        assert (await reader.block())["event"] == "active"
        assert (await reader.block())["data"] == '{"viewercount":9}'


async def test_x3_a_stream_off_air_is_not_said_to_be_active(hub: Hub) -> None:
    hub.node.events.stream_event(STREAM, "active", {})
    hub.node.events.stream_event(STREAM, "inactive", {})
    hub.node.events.stream_event(STREAM, "reconnect", {"url": "https://old"})
    _, location = await opened(hub, "active", "inactive", "reconnect", "viewercount")
    hub.node.events.stream_event(STREAM, "viewercount", {"viewercount": 1})
    async with reading(hub, location) as reader:
        assert (await reader.block())["event"] == "viewercount"


async def test_x4_reconnect_reaches_one_viewer_or_all(hub: Hub) -> None:
    path, location = await opened(hub, "reconnect")
    _, other = await opened(hub, "reconnect")
    session_id = path.rsplit("/", 1)[1]
    hub.node.events.session_event(session_id, "reconnect", {"url": "https://one/whep"})
    hub.node.events.stream_event(STREAM, "reconnect", {"url": "https://all/whep"})
    async with reading(hub, location) as reader, reading(hub, other) as other_reader:
        assert json.loads((await reader.block())["data"]) == {"url": "https://one/whep"}
        assert json.loads((await reader.block())["data"]) == {"url": "https://all/whep"}
        assert json.loads((await other_reader.block())["data"]) == {"url": "https://all/whep"}


async def test_x4_reconnect_is_read_though_the_session_ends_with_it(hub: Hub) -> None:
    path, location = await opened(hub, "active", "reconnect")
    hub.node.events.stream_event(STREAM, "active", {})
    async with reading(hub, location) as reader:
        assert (await reader.block())["event"] == "active"
        hub.node.events.stream_event(STREAM, "reconnect", {"url": "https://backup/whep"})
        await hub.delete(path)
        assert (await reader.block())["event"] == "reconnect"
        assert await reader.block() == {}


async def test_x5_a_deleted_stream_is_404(hub: Hub) -> None:
    _, location = await opened(hub, "active")
    assert (await hub.call("DELETE", location)).status == 200
    problem(await hub.call("GET", location), 404)
    problem(await hub.call("DELETE", location), 404)


async def test_x5_streams_die_with_their_session(hub: Hub) -> None:
    path, location = await opened(hub, "active")
    async with reading(hub, location) as reader:
        await hub.delete(path)
        assert await reader.block() == {}
    problem(await hub.call("GET", location), 404)
    problem(await subscribe(hub, path, '["active"]'), 404)


async def test_a_reader_resumes_after_the_last_event_that_it_saw(hub: Hub) -> None:
    _, location = await opened(hub, "reconnect")
    for number in range(3):
        hub.node.events.stream_event(STREAM, "reconnect", {"url": str(number)})
    async with reading(hub, location) as reader:
        first = await reader.block()
    async with reading(hub, location, first["id"]) as reader:
        assert json.loads((await reader.block())["data"]) == {"url": "1"}
    async with reading(hub, location, "999999") as reader:
        assert json.loads((await reader.block())["data"]) == {"url": "0"}
    async with reading(hub, location, "x" * 40) as reader:
        assert json.loads((await reader.block())["data"]) == {"url": "0"}


async def test_a_quiet_stream_is_kept_alive(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sse.KEEPALIVE_S == 15
    monkeypatch.setattr(sse, "KEEPALIVE_S", 0.02)
    _, location = await opened(hub, "active")
    async with reading(hub, location) as reader:
        assert await reader.block() == {"": "keep-alive"}


async def test_a_reader_that_leaves_is_forgotten_without_an_error(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    path, location = await opened(hub, "reconnect")
    async with reading(hub, location) as reader:
        reader.response.close()
    for number in range(20):
        hub.node.events.stream_event(STREAM, "reconnect", {"url": str(number)})
        assert (await hub.call("GET", path)).status == 200
    assert not [r for r in caplog.records if r.levelname == "ERROR"]
