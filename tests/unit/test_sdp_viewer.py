"""Answers to viewers: the codec on the air first, payload types of the offer."""

from __future__ import annotations

import re

import pytest

from relay.core.negotiation import EXT_TRANSPORT_CC, CodecParameters
from relay.signalling.answer import OfferRefused
from tests.unit.sdp_samples import H264, OPUS, sample, view

VP8 = CodecParameters(96, "VP8", 90_000)


def h264(profile: str, mode: str = "1") -> CodecParameters:
    fmtp = {"packetization-mode": mode, "profile-level-id": profile}
    return CodecParameters(1, "H264", 90_000, fmtp=fmtp)


@pytest.mark.parametrize(
    ("name", "on_air", "payload_type"),
    [
        ("chrome_view", h264("42e01f"), 103),
        ("chrome_view", h264("42c01f"), 103),
        ("chrome_view", h264("42001f"), 103),
        ("chrome_view", h264("4d001f"), 117),
        ("chrome_view", h264("42e01f", "0"), 107),
        ("chrome_view", VP8, 96),
        ("chrome_view", CodecParameters(5, "VP9", 90_000), 98),
        ("chrome_view", CodecParameters(5, "AV1", 90_000), 45),
        ("firefox_view", H264, 126),
        ("firefox_view", VP8, 120),
        ("firefox_view_bundle_only", VP8, 120),
        ("safari_view", H264, 98),
        ("safari_view", h264("64001f"), 96),
        ("pion_view", H264, 102),
    ],
)
def test_the_codec_on_the_air_comes_first(
    name: str, on_air: CodecParameters, payload_type: int
) -> None:
    answer, negotiated, _ = view(sample(name), on_air, OPUS)
    video = next(m for m in negotiated.media if m.kind == "video")
    assert video.codecs[0].payload_type == payload_type
    line = next(x for x in answer.split("\r\n") if x.startswith("m=video"))
    assert line.split()[:4] == ["m=video", "9", "UDP/TLS/RTP/SAVPF", str(payload_type)]


def test_other_codecs_stay_agreed_so_that_a_publisher_may_return_with_one() -> None:
    _, negotiated, _ = view(sample("chrome_view"))
    assert {c.name for c in negotiated.media[1].codecs} == {"H264", "VP8", "VP9", "AV1"}


@pytest.mark.parametrize(
    ("name", "congestion"),
    [
        ("chrome_view", {"goog-remb", "transport-cc"}),
        ("firefox_view", {"goog-remb", "transport-cc"}),
        ("pion_view", {"transport-cc"}),
    ],
)
def test_remb_where_it_is_offered_with_its_clock(name: str, congestion: set[str]) -> None:
    answer, negotiated, _ = view(sample(name))
    video = next(m for m in negotiated.media if m.kind == "video")
    agreed = frozenset[str]().union(*(codec.rtcp_feedback for codec in video.codecs))
    assert agreed & {"goog-remb", "transport-cc"} == congestion
    assert EXT_TRANSPORT_CC in answer


def test_without_transport_cc_its_extension_is_not_agreed() -> None:
    text = re.sub(r"a=rtcp-fb:\d+ transport-cc\s", "", sample("chrome_view"))
    answer, negotiated, _ = view(text)
    assert EXT_TRANSPORT_CC not in answer
    assert all("goog-remb" in c.rtcp_feedback for c in negotiated.media[1].codecs)


def test_repair_is_offered_with_an_ssrc_of_its_own() -> None:
    answer, negotiated, _ = view(sample("chrome_view"))
    video = negotiated.media[1]
    (ssrc,) = video.ssrcs
    assert f"a=ssrc-group:FID {ssrc} {video.rtx_ssrcs[ssrc]}\r\n" in answer
    assert negotiated.media[0].rtx_ssrcs == {}
    assert "a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n" in answer


def test_our_ssrcs_keep_out_of_the_way_of_the_viewers() -> None:
    text = sample("chrome_view").replace("a=mid:0", "a=mid:0\na=ssrc:1000 cname:x")
    _, negotiated, _ = view(text)
    assert 1000 not in {s for m in negotiated.media for s in m.ssrcs}


def test_a_kind_not_on_the_air_yet_is_answered_too() -> None:
    _, negotiated, _ = view(sample("chrome_view"), H264)
    assert [m.kind for m in negotiated.media] == ["audio", "video"]


def test_a_viewer_without_the_codec_on_the_air_is_refused() -> None:
    with pytest.raises(OfferRefused, match="VP9"):
        view(sample("pion_view"), CodecParameters(5, "VP9", 90_000))
    with pytest.raises(OfferRefused, match="OPUS"):
        view(sample("chrome_view").replace("opus/48000", "opus/16000"))


def test_a_viewer_of_sound_alone() -> None:
    text = sample("chrome_view").partition("m=video")[0].replace("BUNDLE 0 1", "BUNDLE 0")
    answer, negotiated, _ = view(text)
    assert [m.kind for m in negotiated.media] == ["audio"]
    assert answer.count("m=") == 1
