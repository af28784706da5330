"""POST of viewers: rows E1-E6, and what the answer says to them."""

from __future__ import annotations

import pytest

from relay.core.negotiation import CodecParameters
from relay.signalling.node_protocol import Refused
from tests.conformance.fake_node import H264, OPUS
from tests.conformance.hub_client import (
    STREAM,
    VIEW,
    VIEWER_OFFERS,
    Hub,
    offer,
    problem,
    sections,
)


async def test_e1_nothing_on_air_is_409_with_retry_after(hub: Hub) -> None:
    hub.node.on_air = ()
    response = await hub.post("whep", VIEW)
    problem(response, 409)
    assert response.headers["Retry-After"] == "5"
    assert not hub.node.sessions


@pytest.mark.parametrize("sdp", [VIEW.replace("H264/90000", "H265/90000"), "junk", VIEW])
async def test_e2_e3_406_is_never_said(hub: Hub, sdp: str) -> None:
    hub.node.on_air = (CodecParameters(100, "VP8", 90_000), OPUS) if sdp == VIEW else (H264, OPUS)
    assert (await hub.post("whep", sdp)).status in (201, 400, 422)


async def test_e3_a_codec_that_was_not_offered_is_422(hub: Hub) -> None:
    response = await hub.post("whep", VIEW.replace("H264/90000", "H265/90000"))
    assert "H264" in str(problem(response, 422)["detail"])


async def test_e5_head_and_get_say_the_same(hub: Hub) -> None:
    head = await hub.call("HEAD", f"/whep/{STREAM}")
    get = await hub.call("GET", f"/whep/{STREAM}")
    for response in (head, get):
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/sdp"
        assert response.body == b""
    assert set(head.headers) | {"Content-Length"} == set(get.headers) | {"Content-Length"}


@pytest.mark.parametrize("name", VIEWER_OFFERS)
async def test_e6_one_media_stream_for_all_tracks(hub: Hub, name: str) -> None:
    answer = sections((await hub.post("whep", offer(name))).text)
    streams: set[str] = set()
    kinds: list[str] = []
    ssrcs: list[str] = []
    for section in answer[1:]:
        if section[0].split()[1] == "0":
            continue
        kinds.append(section[0].split()[0])
        streams |= {x.split()[0][7:] for x in section if x.startswith("a=msid:")}
        streams |= {x.split("msid:")[1].split()[0] for x in section if " msid:" in x}
        ssrcs += {x.split()[0] for x in section if x.startswith("a=ssrc:")}
    assert len(streams) == 1
    assert sorted(kinds) == ["m=audio", "m=video"]
    assert len(ssrcs) == len(set(ssrcs)) >= 2


async def test_a_viewers_data_channel_is_answered_with_port_0(hub: Hub) -> None:
    answer = sections((await hub.post("whep", offer("chrome_view_datachannel"))).text)
    assert answer[3][0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
    assert "a=mid:2" in answer[3]
    assert "a=group:BUNDLE 0 1" in answer[0]


async def test_a_commune_with_too_many_viewers_is_429(hub: Hub) -> None:
    hub.node.refuse = Refused(429, "This commune has 4 viewers, the most it may have.", 3)
    response = await hub.post("whep", VIEW)
    problem(response, 429)
    assert response.headers["Retry-After"] == "3"


async def test_an_unknown_stream_is_404(hub: Hub) -> None:
    hub.node.refuse = Refused(404, "There is no stream of this name.")
    problem(await hub.post("whep", VIEW), 404)
