"""A relay asks for every layer and is answered with an SSRC for each (RFC 8853)."""

from __future__ import annotations

import random

from relay.client.offered import RELAY_RIDS, viewer_media
from relay.core.negotiation import CodecParameters
from relay.signalling.answer_viewer import answer_viewer
from relay.signalling.client_offer import build_offer, parse_answer
from relay.signalling.offer import parse_offer
from tests.unit.sdp_samples import FINGERPRINT, H264, LOCAL, OPUS

AIR: list[CodecParameters] = [H264, OPUS]


def offer_of(*, all_layers: bool) -> str:
    media = viewer_media(all_layers=all_layers)
    return build_offer(ufrag="abcd", pwd="p" * 24, fingerprint=FINGERPRINT, media=media)


def answer_to(offer: str, *, all_layers: bool) -> str:
    dice = random.Random(4)
    return answer_viewer(
        parse_offer(offer),
        LOCAL,
        AIR,
        lambda: dice.randrange(1, 2**32),
        all_layers=all_layers,
    )[0]


def test_a_relay_gets_an_ssrc_and_a_repair_for_each_layer() -> None:
    offer = offer_of(all_layers=True)
    answer = answer_to(offer, all_layers=True)
    assert "a=simulcast:send h;m;l\r\n" in answer
    video = parse_answer(offer, answer).negotiation.media[1]
    assert video.rids == RELAY_RIDS
    assert len(set(video.ssrcs)) == 3
    assert set(video.rtx_ssrcs) == set(video.ssrcs)
    group = next(x for x in answer.split("\r\n") if x.startswith("a=ssrc-group:SIM"))
    assert group.split()[1:] == [str(s) for s in video.ssrcs]


def test_a_viewer_gets_one_layer_whatever_it_asks_for() -> None:
    offer = offer_of(all_layers=True)
    answer = answer_to(offer, all_layers=False)
    assert "simulcast" not in answer
    video = parse_answer(offer, answer).negotiation.media[1]
    assert (video.rids, len(video.ssrcs)) == ((), 1)


def test_a_relay_of_a_server_that_knows_no_layers_gets_one() -> None:
    offer = offer_of(all_layers=True)
    plain = answer_to(offer_of(all_layers=False), all_layers=True)
    video = parse_answer(offer, plain).negotiation.media[1]
    assert (video.rids, len(video.ssrcs)) == ((), 1)
