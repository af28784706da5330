"""POST to an endpoint: rows P1-P19."""

from __future__ import annotations

import asyncio
import re

import pytest

from relay.signalling.http import SignallingConfig
from relay.signalling.node_protocol import Redirected, Refused
from tests.conformance.conftest import MakeHub
from tests.conformance.hub_client import (
    PUBLISH,
    PUBLISHER_OFFERS,
    STREAM,
    VIEW,
    VIEWER_OFFERS,
    Hub,
    bearer,
    offer,
    problem,
    sections,
    token,
)

EVERY_OFFER = [("whip", n) for n in PUBLISHER_OFFERS] + [("whep", n) for n in VIEWER_OFFERS]
BOTH = [("whip", PUBLISH), ("whep", VIEW)]


@pytest.mark.parametrize(("protocol", "name"), EVERY_OFFER)
async def test_p1_offers_of_every_known_stack_are_answered(
    hub: Hub, protocol: str, name: str
) -> None:
    response = await hub.post(protocol, offer(name))
    text = response.text
    assert response.status == 201, text
    assert response.headers["Content-Type"].partition(";")[0] == "application/sdp"
    location = response.headers["Location"]
    assert location.startswith(f"/{protocol}/{STREAM}/")
    assert "?" not in location
    assert hub.node.session(location.rsplit("/", 1)[1]) is not None
    assert text.startswith("v=0\r\n")


async def test_p2_the_etag_is_strong_quoted_and_unique(hub: Hub) -> None:
    tags = {(await hub.post("whep", VIEW)).headers["ETag"] for _ in range(20)}
    assert len(tags) == 20
    assert all(re.fullmatch(r'"[A-Za-z0-9_-]{8,}"', tag) for tag in tags)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json", "sdp", ";"])
async def test_p3_another_content_type_is_415(hub: Hub, content_type: str | None) -> None:
    headers = bearer("publish") | ({"Content-Type": content_type} if content_type else {})
    response = await hub.call("POST", f"/whip/{STREAM}", headers=headers, body=PUBLISH)
    problem(response, 415)
    assert response.headers["Accept"] == "application/sdp"
    assert not hub.node.sessions


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"hello",
        b"v=0\r\n",
        b"\xff\xfe\x00",
        b"v=0\r\nm=audio\r\n",
        b"{}",
        b"m=a 1 2 3",
    ],
)
@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_p4_what_is_no_sdp_is_400(hub: Hub, protocol: str, body: bytes) -> None:
    problem(await hub.post(protocol, body), 400)
    assert not hub.node.sessions


@pytest.mark.parametrize(
    ("protocol", "sdp", "old", "new"),
    [
        ("whip", PUBLISH, "a=sendonly", "a=recvonly"),
        ("whip", PUBLISH, "a=sendonly", "a=inactive"),
        ("whep", VIEW, "a=recvonly", "a=sendonly"),
        ("whep", VIEW, "a=recvonly", "a=inactive"),
    ],
)
async def test_p5_a_direction_that_cannot_serve_is_422(
    hub: Hub, protocol: str, sdp: str, old: str, new: str
) -> None:
    problem(await hub.post(protocol, sdp.replace(old, new)), 422)
    assert not hub.node.sessions


@pytest.mark.parametrize(("protocol", "direction"), [("whip", "recvonly"), ("whep", "sendonly")])
async def test_p6_p7_every_section_is_answered_one_way(
    hub: Hub, protocol: str, direction: str
) -> None:
    own = PUBLISH if protocol == "whip" else VIEW
    for sdp in (own, own.replace("a=sendonly", "a=sendrecv").replace("a=recvonly", "a=sendrecv")):
        response = await hub.post(protocol, sdp)
        assert response.status == 201
        for section in sections(response.text)[1:]:
            assert f"a={direction}" in section


def _doubled(sdp: str, kind: str) -> str:
    head, *parts = re.split(r"(?=m=)", sdp)
    copy = next(p for p in parts if p.startswith(f"m={kind}"))
    copy = re.sub(r"a=mid:\S+", "a=mid:9", copy)
    copy = re.sub(r"a=ssrc.*\r\n", "", copy)
    head = re.sub(r"(a=group:BUNDLE .*?)\r", r"\1 9\r", head)
    return head + "".join(parts) + copy


@pytest.mark.parametrize("kind", ["audio", "video"])
@pytest.mark.parametrize(("protocol", "sdp"), BOTH)
async def test_p8_two_tracks_of_a_kind_are_422(
    hub: Hub, protocol: str, sdp: str, kind: str
) -> None:
    problem(await hub.post(protocol, _doubled(sdp, kind)), 422)
    assert not hub.node.sessions


async def test_p9_one_unusable_section_refuses_the_whole_offer(hub: Hub) -> None:
    sdp = PUBLISH.replace("opus/48000", "speex/48000")
    assert "Opus" in str(problem(await hub.post("whip", sdp), 422)["detail"])
    assert not hub.node.sessions


async def test_p9_a_section_that_the_offer_switched_off_is_answered_with_port_0(hub: Hub) -> None:
    response = await hub.post("whip", offer("firefox_publish_audio_stopped"))
    _, audio, video = sections(response.text)
    assert audio[0].startswith("m=audio 0 ")
    assert video[0].startswith("m=video 9 ")


async def test_p9_a_data_channel_is_refused_to_publishers(hub: Hub) -> None:
    detail = problem(await hub.post("whip", offer("chrome_publish_datachannel")), 422)["detail"]
    assert "application" in str(detail)


@pytest.mark.parametrize(("protocol", "name"), EVERY_OFFER)
async def test_p10_answers_are_bundled_and_complete(hub: Hub, protocol: str, name: str) -> None:
    sdp = offer(name)
    answer = sections((await hub.post(protocol, sdp)).text)
    live = [s for s in answer[1:] if s[0].split()[1] != "0"]
    mids = [next(x for x in s if x.startswith("a=mid:"))[6:] for s in live]
    (group,) = [line for line in answer[0] if line.startswith("a=group:BUNDLE")]
    assert set(group.split()[1:]) == set(mids)
    for section in live:
        assert "a=rtcp-mux" in section
        assert "a=rtcp-mux-only" in section
    tagged = live[mids.index(group.split()[1])]
    assert sum(line.startswith("a=candidate:") for line in tagged) == 2
    assert "a=end-of-candidates" in tagged
    offered = [line.split()[0] for line in sdp.split("\r\n") if line.startswith("m=")]
    assert [s[0].split()[0] for s in answer[1:]] == offered


@pytest.mark.parametrize(("protocol", "sdp"), BOTH)
async def test_p11_an_offer_without_candidates_is_accepted(
    hub: Hub, protocol: str, sdp: str
) -> None:
    assert "a=candidate" not in sdp
    assert "a=ice-options:trickle" in sdp
    assert (await hub.post(protocol, sdp)).status == 201


@pytest.mark.parametrize(
    ("ours", "theirs"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
@pytest.mark.parametrize(("protocol", "sdp"), BOTH)
async def test_p12_the_dtls_roles_fit(
    hub: Hub, protocol: str, sdp: str, ours: str, theirs: str
) -> None:
    response = await hub.post(protocol, sdp.replace("a=setup:actpass", f"a=setup:{ours}"))
    for section in sections(response.text)[1:]:
        assert f"a=setup:{theirs}" in section


async def test_p13_ice_lite_is_said_at_session_level(hub: Hub) -> None:
    session, *media = sections((await hub.post("whep", VIEW)).text)
    assert "a=ice-lite" in session
    assert not any("a=ice-lite" in section for section in media)


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer not.a.token", "Bearer x"]
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_p14_without_a_good_token_401(hub: Hub, method: str, value: str | None) -> None:
    path, _, session = await hub.open("whep")
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": value} if value else {})
    target = f"/whep/{STREAM}" if method == "POST" else path
    response = await hub.call(method, target, headers=headers, body=VIEW)
    problem(response, 401)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert not session.closed


@pytest.mark.parametrize(
    ("scope", "stream"), [("view", STREAM), ("publish", "another"), ("relay", STREAM)]
)
async def test_p14_a_token_for_something_else_is_403(hub: Hub, scope: str, stream: str) -> None:
    headers = {"Content-Type": "application/sdp", **bearer(scope, stream=stream)}
    response = await hub.call("POST", f"/whip/{STREAM}", headers=headers, body=PUBLISH)
    problem(response, 403)
    assert not hub.node.sessions


async def test_p14_preflight_needs_no_token(hub: Hub) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert (await hub.call("OPTIONS", f"/whip/{STREAM}", headers=headers)).status == 200


async def test_p15_session_urls_cannot_be_guessed(hub: Hub) -> None:
    path, _, session = await hub.open("whep")
    assert len(path.rsplit("/", 1)[1]) >= 22
    wrong = path[:-1] + ("a" if path[-1] != "a" else "b")
    problem(await hub.delete(wrong), 404)
    assert not session.closed


async def test_p16_a_flood_is_429_and_sessions_stay(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(rate=0.5, burst=3))
    _, _, session = await hub.open("whep")
    answers = [await hub.post("whep", VIEW) for _ in range(6)]
    statuses = [response.status for response in answers]
    assert statuses == [201, 201, 429, 429, 429, 429]
    problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 2
    assert not session.closed
    assert len(hub.node.sessions) == 3
    assert (await hub.call("GET", f"/whep/{STREAM}")).status == 200


async def test_p16_one_token_leaves_room_for_the_others_of_its_address(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(rate=0.1, burst=80, token_share=0.25))
    greedy = [(await hub.post("whep", VIEW, "greedy")).status for _ in range(24)]
    assert greedy == [201] * 20 + [429] * 4
    refused = await hub.post("whep", VIEW, "greedy")
    assert "token" in str(problem(refused, 429)["detail"])
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await hub.post("whep", VIEW, "an-phu")).status == 201


async def test_p16_a_province_behind_one_address_joins_at_once(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig())
    communes = [hub.post("whep", VIEW, f"commune-{n}") for n in range(63)]
    assert {r.status for r in await asyncio.gather(*communes)} == {201}
    assert len(hub.node.sessions) == 63


async def test_p17_a_full_node_is_503_with_retry_after(hub: Hub) -> None:
    hub.node.refuse = Refused(503, "This server is full.", 7)
    response = await hub.post("whep", VIEW)
    assert problem(response, 503)["detail"] == "This server is full."
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(("protocol", "sdp"), BOTH)
async def test_p18_a_redirect_is_307_with_a_location_alone(
    hub: Hub, protocol: str, sdp: str
) -> None:
    target = f"https://relay-2.example/{protocol}/{STREAM}?ticket=abc"
    hub.node.refuse = Redirected(target)
    response = await hub.post(protocol, sdp, Origin="null")
    assert response.status == 307
    assert response.headers["Location"] == target
    assert response.body == b""
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Location" in response.headers["Access-Control-Expose-Headers"]
    assert response.headers["Cache-Control"] == "no-store"


async def test_p18_the_session_url_can_be_absolute(make_hub: MakeHub) -> None:
    hub = await make_hub(SignallingConfig(public_url="https://relay-2.example"))
    response = await hub.post("whep", VIEW)
    assert response.headers["Location"].startswith(f"https://relay-2.example/whep/{STREAM}/")


@pytest.mark.parametrize("name", ["ticket", "access_token"])
async def test_p18_a_ticket_in_the_url_opens_a_view_but_never_a_broadcast(
    hub: Hub, name: str
) -> None:
    headers = {"Content-Type": "application/sdp", "Origin": "null"}
    view, publish = token("view"), token("publish")
    viewed = await hub.call("POST", f"/whep/{STREAM}?{name}={view}", headers=headers, body=VIEW)
    assert viewed.status == 201
    assert view not in viewed.headers["Location"]
    sent = await hub.call("POST", f"/whip/{STREAM}?{name}={publish}", headers=headers, body=PUBLISH)
    problem(sent, 401)


async def test_p19_errors_are_problems_of_rfc_9457(hub: Hub) -> None:
    content = problem(await hub.post("whip", "junk"), 400)
    assert content["type"] == "about:blank"
    assert content["title"] == "Bad Request"
