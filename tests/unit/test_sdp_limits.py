"""Offers that cost much or can lead nowhere: bounded, and refused with a reason."""

from __future__ import annotations

import re

import pytest

from relay.core.negotiation import EXT_ABS_SEND_TIME, EXT_TRANSPORT_CC
from relay.signalling.answer import OfferRefused
from relay.signalling.offer import (
    MAX_CANDIDATES,
    MAX_FINGERPRINTS,
    MAX_RIDS,
    MAX_SSRCS,
    SdpError,
    parse_offer,
)
from tests.unit.sdp_samples import publish, sample, view

CHROME = sample("chrome_publish").rstrip("\n") + "\n"
TRANSPORT = re.compile(r"a=(ice-|fingerprint|setup|rtcp-mux|rtcp-rsize|rtcp:|candidate).*\n")


def with_fingerprint(algorithm: str, count: int) -> str:
    digest = ":".join(["AB"] * count)
    return re.sub(r"a=fingerprint:.*", f"a=fingerprint:{algorithm} {digest}", CHROME)


@pytest.mark.parametrize("name", ["chrome_publish", "firefox_view_bundle_only"])
def test_a_bundle_only_section_needs_no_transport_lines_of_its_own(name: str) -> None:
    """RFC 8829 section 5.2.1: such attributes stand in the tagged section alone."""
    text = sample(name).rstrip("\n") + "\n"
    head, audio, video = re.split(r"(?=^m=)", text, flags=re.MULTILINE)
    video = TRANSPORT.sub("", video).replace("m=video 9", "m=video 0")
    if "a=bundle-only" not in video:
        video += "a=bundle-only\n"
    answer, negotiated, _ = (publish if "publish" in name else view)(head + audio + video)
    assert [m.kind for m in negotiated.media] == ["audio", "video"]
    assert answer.count("a=rtcp-mux\r\n") == 2
    assert "m=video 9 " in answer


@pytest.mark.parametrize(("algorithm", "count"), [("md5", 16), ("sha-1", 20), ("sha-3000", 32)])
def test_a_fingerprint_that_nobody_trusts_is_refused_before_dtls(
    algorithm: str, count: int
) -> None:
    with pytest.raises(OfferRefused, match="sha-256"):
        publish(with_fingerprint(algorithm, count))
    with pytest.raises(OfferRefused, match="sha-256"):
        view(with_fingerprint(algorithm, count).replace("a=sendonly", "a=recvonly"))


@pytest.mark.parametrize(("algorithm", "count"), [("sha-256", 20), ("sha-512", 32), ("sha-1", 32)])
def test_a_fingerprint_of_the_wrong_length_is_malformed(algorithm: str, count: int) -> None:
    with pytest.raises(SdpError, match=f"length for {algorithm}"):
        parse_offer(with_fingerprint(algorithm, count))


@pytest.mark.parametrize(
    ("algorithm", "count"), [("sha-256", 32), ("SHA-384", 48), ("sha-512", 64)]
)
def test_a_trusted_fingerprint_is_kept(algorithm: str, count: int) -> None:
    offer = parse_offer(with_fingerprint(algorithm, count))
    assert offer.fingerprints == ((algorithm.lower(), ":".join(["AB"] * count)),)


def test_a_weak_fingerprint_beside_a_good_one_does_no_harm() -> None:
    weak = "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)
    offer = parse_offer(CHROME.replace("a=setup:", f"{weak}\na=setup:", 1))
    assert {algorithm for algorithm, _ in offer.fingerprints} == {"sha-1", "sha-256"}
    publish(CHROME.replace("a=setup:", f"{weak}\na=setup:", 1))


def test_what_an_offer_may_list_is_bounded() -> None:
    digest = ":".join(["AB"] * 31)
    extra = [
        *(f"a=ssrc:{n} cname:x" for n in range(300)),
        *(f"a=ssrc-group:FID {n} {n + 10_000}" for n in range(300)),
        *(f"a=candidate:{n} 1 udp 1 192.0.2.1 {n + 1} typ host" for n in range(300)),
        *(f"a=rid:l{n} send" for n in range(300)),
        *(f"a=fingerprint:sha-256 {digest}:{n:02X}" for n in range(200)),
    ]
    text = CHROME + "\n".join(extra) + "\n"
    offer = parse_offer(text)
    video = offer.media[1]
    assert len(video.ssrcs) == len(video.rtx_ssrcs) == MAX_SSRCS
    assert len(offer.candidates) == MAX_CANDIDATES
    assert len(video.rids) == MAX_RIDS
    assert len(offer.fingerprints) == MAX_FINGERPRINTS


def test_unreadable_candidates_do_not_crowd_out_a_good_one_for_ever() -> None:
    junk = "".join(f"a=candidate:{n} nonsense\n" for n in range(100))
    good = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\n"
    assert [c.port for c in parse_offer(CHROME + junk + good).candidates] == [5000]


def test_an_extension_that_we_could_not_write_is_not_agreed_with_a_viewer() -> None:
    """Without abs-send-time REMB has no clock: transport-cc is the way then."""
    text = re.sub(rf"a=extmap:\d+ {re.escape(EXT_ABS_SEND_TIME)}", "", sample("chrome_view"))
    text = text.replace("a=rtcp-mux\n", f"a=extmap:20 {EXT_ABS_SEND_TIME}\na=rtcp-mux\n")
    answer, negotiated, _ = view(text)
    for media in negotiated.media:
        assert EXT_ABS_SEND_TIME not in media.extensions
        assert all(number <= 14 for number in media.extensions.values())
    assert EXT_TRANSPORT_CC in answer
    assert "goog-remb" not in answer


def test_an_extension_id_given_twice_means_the_first() -> None:
    text = CHROME.replace(
        "a=rtcp-mux\n", "a=extmap:9 urn:first\na=extmap:9 urn:second\na=rtcp-mux\n"
    )
    extensions = parse_offer(text).media[0].extensions
    assert len(set(extensions.values())) == len(extensions)
    assert "urn:second" not in extensions
