"""PATCH of a session: rows T1-T12."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conformance.hub_client import VIEW, Hub, fragment, problem, sections

OLD = ("a=ice-ufrag:4ZcD", "a=ice-pwd:2/1muCWoOi3uLifh0NuRHlvz")
NEW = ("a=ice-ufrag:neW1", "a=ice-pwd:0123456789012345678901")
NEWER = ("a=ice-ufrag:neW2", "a=ice-pwd:0123456789012345678901")
MEDIA = ("m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0")
CANDIDATE = "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host"
TRICKLE = fragment(*OLD, *MEDIA, CANDIDATE, "a=end-of-candidates")
RESTART = fragment(*NEW, *MEDIA, CANDIDATE)
BOTH = pytest.mark.parametrize("protocol", ["whip", "whep"])


@pytest.mark.parametrize("content_type", ["application/sdp", "text/plain", ""])
async def test_t1_another_content_type_is_415_even_without_if_match(
    hub: Hub, content_type: str
) -> None:
    path, _, session = await hub.open("whep")
    problem(await hub.patch(path, TRICKLE, None, Content_Type=content_type), 415)
    assert not session.closed


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "{}",
        "a=ice-pwd:0123456789012345678901\r\n",
        "a=ice-ufrag:x y\r\n",
        fragment("a=ice-ufrag:neW1", "a=ice-pwd:short"),
        fragment("a=ice-ufrag:neW1"),
        b"\xff\xfe",
    ],
)
async def test_t2_a_malformed_fragment_is_400(hub: Hub, body: str | bytes) -> None:
    path, etag, session = await hub.open("whep")
    problem(await hub.patch(path, body, etag), 400)
    assert not session.fragments
    assert f'"{session.etag}"' == etag


@BOTH
async def test_t3_a_trickle_is_204_without_body_or_etag(hub: Hub, protocol: str) -> None:
    path, etag, session = await hub.open(protocol)
    response = await hub.patch(path, TRICKLE, etag)
    assert response.status == 204
    assert response.body == b""
    assert "ETag" not in response.headers
    (received,) = session.fragments
    assert received.candidates[0].host == "192.0.2.7"
    assert received.end_of_candidates


@BOTH
async def test_t4_without_if_match_428_and_the_session_plays_on(hub: Hub, protocol: str) -> None:
    path, etag, session = await hub.open(protocol)
    problem(await hub.patch(path, TRICKLE, None), 428)
    assert not session.closed
    assert (await hub.patch(path, TRICKLE, etag)).status == 204


@pytest.mark.parametrize("value", ['"old"', "W/{etag}", "{raw}", "", "garbage", '"x", W/{etag}'])
async def test_t5_a_tag_that_does_not_match_is_412(hub: Hub, value: str) -> None:
    path, etag, session = await hub.open("whep")
    sent = value.format(etag=etag, raw=etag.strip('"'))
    problem(await hub.patch(path, TRICKLE, sent), 412)
    assert not session.fragments


@pytest.mark.parametrize("value", ['"old", {etag}', '{etag},"other"', ' , {etag} ,, "x,y"', "*"])
async def test_t5_lists_are_searched(hub: Hub, value: str) -> None:
    path, etag, session = await hub.open("whep")
    assert (await hub.patch(path, TRICKLE, value.format(etag=etag))).status == 204
    assert session.fragments


@pytest.mark.parametrize(
    "candidate",
    [
        "a=candidate:1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
        "a=candidate:1 1 sctp 1 192.0.2.7 9 typ host",
        "a=candidate:1 1 udp 1 0f1e2d3c-aaaa-bbbb-cccc-1234567890ab.local 5000 typ host",
        "a=candidate:1 2 udp 1 192.0.2.7 5001 typ host",
        "a=candidate:1 1 udp 1 no.such.host.example 5001 typ srflx raddr 0.0.0.0 rport 0",
        "a=candidate:1 1 udp 1 192.0.2.7 5001 typ future",
        "a=candidate:",
    ],
)
async def test_t6_a_candidate_of_no_use_is_ignored(hub: Hub, candidate: str) -> None:
    path, etag, session = await hub.open("whep")
    assert (await hub.patch(path, fragment(*OLD, *MEDIA, candidate), etag)).status == 204
    assert (await hub.patch(path, fragment(*MEDIA, candidate), etag)).status == 204
    assert not session.closed


@BOTH
@pytest.mark.parametrize("star", ["*", '"*"'])
async def test_t7_a_restart_gives_new_credentials_and_a_new_etag(
    hub: Hub, protocol: str, star: str
) -> None:
    path, etag, session = await hub.open(protocol)
    response = await hub.patch(path, RESTART, star)
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("application/trickle-ice-sdpfrag")
    assert response.headers["ETag"] != etag
    assert response.headers["ETag"] == f'"{session.etag}"'
    head, media = sections(response.text)
    assert "a=ice-lite" in head
    assert media[:2] == ["m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0"]
    assert any(line.startswith("a=ice-ufrag:") for line in media)
    assert any(line.startswith("a=ice-pwd:") for line in media)
    assert sum(line.startswith("a=candidate:") for line in media) == 2
    assert session.ufrags == ["4ZcD", "neW1"]


async def test_t8_both_trickle_and_restart_are_served(hub: Hub) -> None:
    path, etag, _ = await hub.open("whep")
    assert (await hub.patch(path, TRICKLE, etag)).status == 204
    assert (await hub.patch(path, RESTART, etag)).status == 200


async def test_t9_a_restart_that_cannot_be_done_leaves_the_session(hub: Hub) -> None:
    path, etag, session = await hub.open("whep")
    session.can_restart = False
    response = await hub.patch(path, RESTART, "*")
    problem(response, 503)
    assert response.headers["Retry-After"] == "2"
    assert not session.closed
    assert (await hub.patch(path, TRICKLE, etag)).status == 204


async def test_t10_after_a_restart_the_old_tag_is_412(hub: Hub) -> None:
    path, etag, session = await hub.open("whep")
    new = (await hub.patch(path, RESTART, "*")).headers["ETag"]
    problem(await hub.patch(path, TRICKLE, etag), 412)
    late = fragment(*NEW, *MEDIA, CANDIDATE)
    assert (await hub.patch(path, late, new)).status == 204
    assert len(session.fragments) == 1


@pytest.mark.parametrize("star", [True, False])
async def test_t10_a_late_trickle_never_restarts_backwards(hub: Hub, star: bool) -> None:
    path, _, session = await hub.open("whep")
    new = (await hub.patch(path, RESTART, "*")).headers["ETag"]
    response = await hub.patch(path, TRICKLE, "*" if star else new)
    assert response.status == 204
    assert f'"{session.etag}"' == new
    assert session.ufrags == ["4ZcD", "neW1"]
    assert not session.fragments, "candidates of the old ICE session were taken"


async def test_t11_a_trickle_overtaken_by_a_restart_is_412(hub: Hub) -> None:
    path, etag, session = await hub.open("whep")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield TRICKLE[:10].encode()
        begun.set()
        await go_on.wait()
        yield TRICKLE[10:].encode()

    slow = asyncio.ensure_future(hub.patch(path, slowly(), etag))
    await begun.wait()
    assert (await hub.patch(path, RESTART, "*")).status == 200
    go_on.set()
    problem(await slow, 412)
    assert not session.fragments


async def test_t11_of_overlapping_restarts_the_last_holds(hub: Hub) -> None:
    path, _, session = await hub.open("whep")
    newer = fragment(*NEWER, *MEDIA)
    answers = await asyncio.gather(hub.patch(path, RESTART, "*"), hub.patch(path, newer, "*"))
    assert [a.status for a in answers] == [200, 200]
    assert sorted(session.ufrags[1:]) == ["neW1", "neW2"]
    tags = [a.headers["ETag"].strip('"') for a in answers]
    assert session.etag == tags[["neW1", "neW2"].index(session.ufrags[-1])]


@pytest.mark.parametrize(
    "body",
    [
        fragment(*OLD, *MEDIA, CANDIDATE),
        fragment(*MEDIA, *OLD, CANDIDATE),
        fragment("a=group:BUNDLE 0 1", *MEDIA, *OLD, CANDIDATE),
        fragment(*MEDIA, CANDIDATE),
        fragment("a=ice-options:trickle ice2", *OLD, *MEDIA, CANDIDATE).replace("\r\n", "\n"),
    ],
)
async def test_t12_a_fragment_of_the_tagged_section_alone(hub: Hub, body: str) -> None:
    path, etag, session = await hub.open("whep")
    assert (await hub.patch(path, body, etag)).status == 204
    (received,) = session.fragments
    assert received.mid == "0"
    assert len(received.candidates) == 1


async def test_every_section_may_repeat_its_candidates(hub: Hub) -> None:
    path, etag, session = await hub.open("whep")
    video = ("m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1")
    body = fragment(*OLD, *MEDIA, CANDIDATE, *video, CANDIDATE)
    assert (await hub.patch(path, body, etag)).status == 204
    assert len(session.fragments[0].candidates) == 1
    assert VIEW.count("a=mid:") == 2
