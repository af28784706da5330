"""Hostile and odd HTTP: rows H1-H4, over raw sockets where a client library would not do it."""

from __future__ import annotations

import asyncio
import base64
import gzip
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from relay.signalling.http import SignallingConfig
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import (
    PUBLISH,
    STREAM,
    VIEW,
    Hub,
    bearer,
    problem,
    token,
)
from tests.conformance.test_patch import RESTART, TRICKLE

Connect = Callable[[], Awaitable["RawClient"]]
EVIL_NAMES = ["..%2f..%2fetc", "a%0d%0aX-Evil:%201", "%00", "phi%C3%AAn", "a" * 3000, "%ff"]


class RawClient:
    """Bytes on a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self, length: int | None, *lines: str) -> None:
        size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
        request = [
            f"POST /whep/{STREAM} HTTP/1.1",
            "Host: hub",
            "Content-Type: application/sdp",
            f"Authorization: Bearer {token('view')}",
            size,
            *lines,
        ]
        self.writer.write(("\r\n".join(request) + "\r\n\r\n").encode())
        await self.writer.drain()

    async def status(self) -> int:
        async with asyncio.timeout(5):
            line = await self.reader.readline()
        return int(line.split()[1])

    async def until_closed(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def connect(hub: Hub) -> AsyncIterator[Connect]:
    """Open raw connections to the hub; they are closed with the test."""
    clients: list[RawClient] = []

    async def open_one() -> RawClient:
        clients.append(RawClient(*await asyncio.open_connection("127.0.0.1", hub.server.port)))
        return clients[-1]

    yield open_one
    for client in clients:
        await client.close()


async def still_serves(hub: Hub) -> None:
    assert (await hub.post("whep", VIEW)).status == 201


async def test_h1_413_comes_before_the_body(hub: Hub, connect: Connect) -> None:
    client = await connect()
    await client.head(10_000_000)
    assert await client.status() == 413
    assert b"application/problem+json" in await client.until_closed()
    assert not hub.node.sessions
    await still_serves(hub)


async def test_h1_413_for_a_body_of_unknown_length(hub: Hub, connect: Connect) -> None:
    client = await connect()
    await client.head(None)
    for _ in range(3):
        client.writer.write(b"8000\r\n" + b"v" * 0x8000 + b"\r\n")
    assert await client.status() == 413
    await client.until_closed()
    assert not hub.node.sessions


async def test_h1_408_for_a_body_that_dribbles(hub: Hub, connect: Connect) -> None:
    client = await connect()
    await client.head(len(VIEW))
    client.writer.write(VIEW[:20].encode())
    assert await client.status() == 408
    assert b"application/problem+json" in await client.until_closed()
    assert not hub.node.sessions
    await still_serves(hub)


async def test_h1_dribbling_does_not_extend_the_time(hub: Hub, connect: Connect) -> None:
    client = await connect()
    await client.head(len(VIEW))

    async def dribble() -> None:
        for character in VIEW:
            client.writer.write(character.encode())
            await asyncio.sleep(0.05)

    dribbling = asyncio.ensure_future(dribble())
    assert await client.status() == 408
    dribbling.cancel()


async def test_h1_a_client_that_hangs_up_leaves_nothing(hub: Hub, connect: Connect) -> None:
    for _ in range(5):
        client = await connect()
        await client.head(len(VIEW))
        client.writer.write(VIEW[:100].encode())
        await client.close()
    await still_serves(hub)
    assert len(hub.node.sessions) == 1


async def test_h1_a_patch_that_dribbles_leaves_the_session(hub: Hub) -> None:
    path, etag, session = await hub.open("whep")

    async def forever() -> AsyncIterator[bytes]:
        yield b"a=ice"
        await asyncio.Event().wait()

    slow = asyncio.ensure_future(hub.patch(path, forever(), etag))
    problem(await slow, 408)
    assert not session.closed
    assert (await hub.patch(path, TRICKLE, etag)).status == 204


async def test_h1_compressed_bodies_are_refused(hub: Hub) -> None:
    bomb = gzip.compress(b"v" * 10_000_000)
    response = await hub.post("whep", bomb, Content_Encoding="gzip")
    assert response.status in (413, 415)
    await still_serves(hub)


async def test_h1_a_request_that_is_no_http_hurts_nobody(hub: Hub, connect: Connect) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"):
        client = await connect()
        client.writer.write(junk)
        client.writer.write_eof()
        await client.until_closed()
        await client.close()
    await still_serves(hub)


@pytest.mark.parametrize(
    "content_type",
    ["application/sdp; charset=utf-8", "Application/SDP", "application/sdp ;charset=UTF-8"],
)
async def test_h2_media_types_in_any_form(hub: Hub, content_type: str) -> None:
    assert (await hub.post("whip", PUBLISH, Content_Type=content_type)).status == 201


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "bEaReR"])
async def test_h2_bearer_in_any_case(hub: Hub, scheme: str) -> None:
    value = f"{scheme} {token('publish')}"
    assert (await hub.post("whip", PUBLISH, Authorization=value)).status == 201


@pytest.mark.parametrize("content_type", ["Application/Trickle-ICE-SDPFrag; charset=utf-8"])
async def test_h2_fragments_in_any_form(hub: Hub, content_type: str) -> None:
    path, etag, _ = await hub.open("whep")
    assert (await hub.patch(path, TRICKLE, etag, Content_Type=content_type)).status == 204


async def test_h3_a_viewer_cannot_touch_another_viewers_session(hub: Hub) -> None:
    path, etag, session = await hub.open("whep", "an-phu")
    problem(await hub.patch(path, TRICKLE, etag, "vinh-gia"), 403)
    problem(await hub.patch(path, RESTART, "*", "vinh-gia"), 403)
    problem(await hub.delete(path, "vinh-gia"), 403)
    headers = {"Content-Type": "application/json", **bearer("view", "vinh-gia")}
    problem(await hub.call("POST", f"{path}/sse", headers=headers, body='["active"]'), 403)
    problem(await hub.call("DELETE", path, headers=bearer("publish", "an-phu")), 403)
    assert not session.closed
    assert not session.fragments
    assert session.ufrags == ["4ZcD"]


async def test_h3_an_operator_can_end_any_session(hub: Hub) -> None:
    path, _, session = await hub.open("whep")
    headers = bearer("operate", "operator", stream="*")
    assert (await hub.call("DELETE", path, headers=headers)).status == 200
    assert session.closed


async def test_h3_an_operator_of_another_stream_cannot(hub: Hub) -> None:
    path, _, session = await hub.open("whep")
    headers = bearer("operate", "operator", stream="another")
    problem(await hub.call("DELETE", path, headers=headers), 403)
    assert not session.closed


@pytest.mark.parametrize(
    "change",
    [
        ("m=audio 9", "m=audio " + "9" * 5000),
        ("m=audio 9", "m=audio -1"),
        ("a=rtpmap:111 opus", "a=rtpmap:² opus"),
        ("a=rtpmap:111 opus/48000", "a=rtpmap:111 opus/" + "9" * 5000),
        ("a=mid:0", "a=mid:0 1"),
        ("a=mid:1", "a=mid:0"),
        ("a=ice-ufrag:4ZcD", "a=ice-ufrag:x"),
        ("a=ice-pwd:2/1muCWoOi3uLifh0NuRHlvz", "a=ice-pwd:short"),
        ("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 XX"),
        ("a=fingerprint:", "a=footprint:"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=recvonly", "a=recvonly\r\na=\x00"),
        ("a=rtcp-mux\r\n", ""),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        (
            "a=recvonly",
            "a=rid:\r\na=rid:x\r\na=simulcast:\r\na=ssrc:\r\na=ssrc-group:\r\na=inactive",
        ),
    ],
)
async def test_h4_a_malformed_offer_is_a_4xx_and_a_good_one_succeeds_after(
    hub: Hub, change: tuple[str, str]
) -> None:
    old, new = change
    assert old in VIEW
    response = await hub.post("whep", VIEW.replace(old, new))
    problem(response, response.status)
    assert response.status in (400, 422)
    assert not hub.node.sessions
    await still_serves(hub)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=extmap:4 ", "a=extmap:" + "9" * 5000 + " "),
        ("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/48000/" + "9" * 5000),
        ("apt=96", "apt=²"),
        ("a=rtcp-fb:96 nack", "a=rtcp-fb:96 applause"),
        ("a=recvonly", "a=recvonly\r\na=candidate:nonsense\r\na=x-unheard-of:1"),
    ],
)
async def test_h4_what_a_session_can_do_without_is_passed_over(
    hub: Hub, old: str, new: str
) -> None:
    assert (await hub.post("whep", VIEW.replace(old, new))).status == 201


@pytest.mark.parametrize(
    "value",
    ["[" * 3000, "\u00ff" * 50, "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 6000, "..", "a b"],
)
async def test_h4_a_hostile_token_is_401(hub: Hub, value: str) -> None:
    forms = [value, base64.urlsafe_b64encode(value.encode()).decode().rstrip("=") + ".e30.AA"]
    for form in forms:
        response = await hub.post("whep", VIEW, Authorization=f"Bearer {form}")
        problem(response, 401)
        assert form not in response.text


@pytest.mark.parametrize("name", EVIL_NAMES)
async def test_h4_odd_stream_names_stay_in_their_place(
    hub: Hub, connect: Connect, name: str
) -> None:
    client = await connect()
    lines = [
        f"POST /whep/{name} HTTP/1.1",
        "Host: hub",
        "Content-Type: application/sdp",
        f"Authorization: Bearer {token('view', stream='*')}",
        f"Content-Length: {len(VIEW)}",
        "Connection: close",
    ]
    client.writer.write(("\r\n".join(lines) + "\r\n\r\n" + VIEW).encode())
    answer = (await client.until_closed()).decode()
    assert int(answer.split()[1]) < 500
    assert "\nx-evil" not in answer.lower()
    if answer.startswith("HTTP/1.1 201"):
        location = answer.partition("Location: ")[2].split("\r\n")[0]
        assert location.isascii()
        assert location.count("/") == 3


async def test_a_mistake_of_the_server_is_a_problem_without_details(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.node.refuse = RuntimeError("secret inside")
    response = await hub.post("whep", VIEW)
    problem(response, 500)
    assert "secret" not in response.text
    assert [r for r in caplog.records if r.levelno == logging.ERROR]
    hub.node.refuse = None
    await still_serves(hub)


async def test_tickets_and_tokens_are_kept_out_of_our_log_lines(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "relay")
    secret = token("view")
    headers = {"Content-Type": "application/sdp"}
    url = f"/whep/{STREAM}?ticket={secret}"
    assert (await hub.call("POST", url, headers=headers, body=VIEW)).status == 201
    assert (await hub.call("POST", url, headers=headers, body="junk")).status == 400
    hub.node.refuse = RuntimeError("broken")
    assert (await hub.call("POST", url, headers=headers, body=VIEW)).status == 500
    ours = [r for r in caplog.records if r.name.startswith("relay")]
    assert ours
    for record in ours:
        assert secret not in record.getMessage()
        assert secret not in str(record.__dict__.get("extra", "")) + str(record.args)


async def test_p16_a_flood_of_patches_does_not_end_the_session(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(rate=0.5, burst=4))
    path, etag, session = await hub.open("whep")
    statuses = [(await hub.patch(path, TRICKLE, etag)).status for _ in range(6)]
    assert statuses == [204, 204, 204, 429, 429, 429]
    assert not session.closed
