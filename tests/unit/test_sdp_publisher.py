"""Answers to publishers of every known stack."""

from __future__ import annotations

import pytest

from relay.core.negotiation import (
    EXT_DEPENDENCY_DESCRIPTOR,
    EXT_TRANSPORT_CC,
    MediaNegotiation,
)
from relay.signalling.answer import OfferRefused
from relay.signalling.offer import parse_offer
from tests.unit.sdp_samples import publish, sample


def of_kind(name: str, kind: str) -> MediaNegotiation:
    _, negotiated, _ = publish(sample(name))
    return next(m for m in negotiated.media if m.kind == kind)


@pytest.mark.parametrize(
    ("name", "mids", "video_pt", "video", "audio_pt", "congestion", "rtx"),
    [
        ("chrome_publish", ("0", "1"), 103, "H264", 111, "transport-cc", 104),
        ("firefox_publish", ("0", "1"), 126, "H264", 109, "transport-cc", 127),
        ("gstreamer_publish", ("video0", "audio1"), 96, "H264", 98, "transport-cc", 97),
        ("obs_publish", ("0", "1"), 96, "H264", 111, "goog-remb", 97),
        ("libdatachannel_publish", ("audio", "video"), 96, "H264", 111, "goog-remb", 97),
        ("ffmpeg_publish", ("0", "1"), 106, "H264", 111, None, 107),
        ("werift_publish", ("0", "1"), 96, "VP8", 97, None, None),
        ("pion_publish", ("0", "1"), 102, "H264", 111, "transport-cc", 121),
        ("aiortc_publish", ("0", "1"), None, "H264", 96, "goog-remb", None),
    ],
)
def test_what_is_agreed_with_each_stack(
    name: str,
    mids: tuple[str, ...],
    video_pt: int | None,
    video: str,
    audio_pt: int,
    congestion: str | None,
    rtx: int | None,
) -> None:
    answer, negotiated, _ = publish(sample(name))
    assert tuple(m.mid for m in negotiated.media) == mids
    codec = of_kind(name, "video").codecs[0]
    assert codec.name == video
    assert of_kind(name, "audio").codecs[0].payload_type == audio_pt
    if video_pt is not None:
        assert (codec.payload_type, codec.rtx_payload_type) == (video_pt, rtx)
    assert {"goog-remb", "transport-cc"} & codec.rtcp_feedback == ({congestion} - {None})
    assert (EXT_TRANSPORT_CC in answer) == (congestion == "transport-cc")


def test_ffmpeg_gets_an_active_answer_and_its_nack_without_colon_is_read() -> None:
    answer, negotiated, role = publish(sample("ffmpeg_publish"))
    assert role == "client"
    assert answer.count("a=setup:active") == 2
    assert negotiated.media[1].codecs[0].rtcp_feedback == {"nack"}
    assert "a=rtcp-fb:106 nack\r\n" in answer
    assert "nack pli" not in answer


@pytest.mark.parametrize("name", ["chrome_publish", "obs_publish", "gstreamer_publish"])
def test_only_sha_256_is_told(name: str) -> None:
    answer, _, _ = publish(sample(name))
    lines = [line for line in answer.split("\r\n") if line.startswith("a=fingerprint")]
    assert lines
    assert all(line.startswith("a=fingerprint:sha-256 ") for line in lines)


def test_obs_comma_joined_ice_options_and_session_level_transport() -> None:
    offer = parse_offer(sample("obs_publish"))
    assert offer.ice_options == ("ice2", "trickle")
    assert offer.candidates == ()
    assert offer.ice_ufrag == "nxcM"


def test_gstreamer_msid_on_ssrc_lines_capital_opus_and_bundle_only() -> None:
    offer = parse_offer(sample("gstreamer_publish"))
    assert [m.msid for m in offer.media] == ["user3389445@host-6a3f82a"] * 2
    assert offer.media[1].codecs[0].name == "OPUS"
    assert offer.media[0].rtx_ssrcs == ((1234, 5678),)
    assert offer.media[0].ssrcs == (1234,)
    assert {c.transport for c in offer.candidates} == {"udp", "tcp"}
    answer, _, _ = publish(sample("gstreamer_publish"))
    assert "m=audio 9 " in answer


def test_firefox_session_level_fingerprint_and_candidates_of_no_use() -> None:
    offer = parse_offer(sample("firefox_publish"))
    assert offer.fingerprints[0][0] == "sha-256"
    assert all(c.address is None for c in offer.candidates)
    assert offer.media[0].direction == "sendonly", "the section's own direction comes first"


def test_session_level_direction_holds_for_sections_without_one() -> None:
    text = sample("firefox_publish").replace("a=sendonly\n", "")
    assert {m.direction for m in parse_offer(text).media} == {"sendrecv"}


def test_simulcast_is_answered_in_the_offers_order() -> None:
    answer, negotiated, _ = publish(sample("chrome_publish_simulcast"))
    assert negotiated.media[1].rids == ("f", "h", "q")
    assert "a=simulcast:recv f;h;q\r\n" in answer
    assert [x for x in answer.split("\r\n") if x.startswith("a=rid:")] == [
        "a=rid:f recv",
        "a=rid:h recv",
        "a=rid:q recv",
    ]
    assert negotiated.media[0].rids == ()


def test_packetization_mode_0_only_where_there_is_no_other() -> None:
    modes = [c.fmtp.get("packetization-mode") for c in of_kind("chrome_publish", "video").codecs]
    assert "0" not in modes
    old = sample("obs_publish").replace("packetization-mode=1", "packetization-mode=0")
    _, negotiated, _ = publish(old)
    assert negotiated.media[1].codecs[0].fmtp["packetization-mode"] == "0"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("opus/48000/2", "PCMU/8000", "Opus"),
        ("H264/90000", "H265/90000", "video codec"),
        ("a=sendonly", "a=recvonly", "recvonly"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", "DTLS"),
        ("a=rtcp-mux\n", "", "rtcp-mux"),
    ],
)
def test_what_cannot_be_served_is_said(old: str, new: str, word: str) -> None:
    with pytest.raises(OfferRefused, match=word):
        publish(sample("obs_publish").replace(old, new))


def test_the_bundle_order_of_the_offer_decides_where_candidates_go() -> None:
    text = sample("obs_publish").replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0")
    answer, _, _ = publish(text)
    assert "a=group:BUNDLE 1 0\r\n" in answer
    _, audio, video = answer.split("m=")
    assert "a=candidate" not in audio
    assert "a=candidate" in video


def test_a_bit_rate_limit_is_told() -> None:
    answer, _, _ = publish(sample("chrome_publish"), max_video_bps=2_500_000)
    assert answer.partition("m=video")[2].count("b=TIAS:2500000\r\n") == 1
    assert "b=TIAS" not in answer.partition("m=video")[0]


def with_descriptor(text: str) -> str:
    """The offer with the dependency descriptor in its video section."""
    orientation = "a=extmap:13 urn:3gpp:video-orientation\r\n"
    text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    assert orientation in text
    return text.replace(orientation, f"{orientation}a=extmap:12 {EXT_DEPENDENCY_DESCRIPTOR}\r\n")


def test_the_dependency_descriptor_where_the_payload_does_not_tell_layers() -> None:
    text, agreed, _ = publish(with_descriptor(sample("chrome_publish")))
    video = agreed.media[1]
    assert video.codecs[0].name == "H264"
    assert video.extensions[EXT_DEPENDENCY_DESCRIPTOR] == 12
    assert f"a=extmap:12 {EXT_DEPENDENCY_DESCRIPTOR}" in text.split("m=video")[1]
    assert "a=extmap-allow-mixed" in text.split("m=video")[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [("a=extmap-allow-mixed\r\n", ""), (" H264/90000", " H265/90000")],
    ids=["one-byte extensions only", "VP8 tells itself"],
)
def test_no_dependency_descriptor(old: str, new: str) -> None:
    offer = with_descriptor(sample("chrome_publish"))
    assert old in offer
    text, agreed, _ = publish(offer.replace(old, new))
    assert EXT_DEPENDENCY_DESCRIPTOR not in agreed.media[1].extensions
    assert "allow-mixed" not in text
