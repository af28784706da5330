"""Any text, and real offers with damage: the readers raise SdpError and nothing else, the
endpoints answer 2xx or 4xx and serve the next one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.signalling.answer import OfferRefused
from relay.signalling.http import SignallingConfig
from relay.signalling.offer import SdpError, parse_fragment, parse_offer
from tests.conformance.conftest import MakeHub, make_hub
from tests.conformance.hub_client import PUBLISH, VIEW
from tests.unit.sdp_samples import OFFERS, publish, view

__all__ = ["make_hub"]

SAMPLES = [path.read_text() for path in sorted(Path(OFFERS).glob("*.sdp"))]
NASTY = ["", " ", "²", "-1", "9" * 5000, "\x00", "\n", "\r\nm=video 9 x 1", "*", ";", "=", ":", "/"]
LINES = sorted({line for text in SAMPLES for line in text.split("\n")})


def damaged(text: str, rng: random.Random) -> str:
    """The text after one to five lines or words were lost, doubled, moved or replaced."""
    lines = text.split("\n")
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2:
                lines[at] = rng.choice(LINES)
            case 3:
                words = lines[at].split(" ")
                words[rng.randrange(len(words))] = rng.choice(NASTY)
                lines[at] = " ".join(words)
            case 4:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
            case _:
                lines[at] += rng.choice(NASTY)
    return "\n".join(lines)


def complaint(action: Callable[[str], object], text: str) -> str:
    """What is wrong with the text, "" when nothing is."""
    try:
        action(text)
    except (SdpError, OfferRefused) as error:
        return str(error) or "no sentence"
    return ""


def try_all(text: str) -> None:
    for action in (parse_offer, parse_fragment, publish, view):
        said = complaint(action, text)
        assert len(said) < 1000
        assert said != "no sentence"


@given(st.text(max_size=500))
def test_any_text(text: str) -> None:
    try_all(text)
    try_all("v=0\n" + text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(LINES) | st.text(max_size=30).map(lambda t: "a=" + t), max_size=60))
def test_lines_of_offers_in_any_order(lines: list[str]) -> None:
    try_all("\r\n".join(["v=0", *lines]))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 2**32))
def test_offers_with_damage(text: str, seed: int) -> None:
    try_all(damaged(text, random.Random(seed)))


@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_damaged_offers_over_http_never_hurt_the_next_one(
    make_hub: MakeHub, protocol: str
) -> None:
    hub = await make_hub(SignallingConfig(rate=1e6, burst=1e6))
    good = PUBLISH if protocol == "whip" else VIEW
    rng = random.Random(20260801)
    for _ in range(150):
        text = damaged(rng.choice(SAMPLES), rng).encode(errors="replace")
        response = await hub.post(protocol, text)
        assert response.status in (201, 400, 422), text
        assert (await hub.post(protocol, good)).status == 201
