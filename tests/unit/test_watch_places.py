"""Where a viewer may go, and the hub's list of alternatives."""

from __future__ import annotations

import pytest

from relay.client.errors import ClientError, NotNowError, UnreachableError
from relay.client.places import Alternatives, Places, invited
from relay.client.reconnect import asked_to_wait_s

HOME = "https://hub.test:8443/whep/phien-hop"


def test_a_crowd_spreads_over_the_alternatives() -> None:
    shared = Alternatives()
    viewers = [Places(HOME, shared, turn=turn) for turn in range(4)]
    shared.told(["http://a.test", "http://b.test/", "https://hub.test:8443", "ftp://c", 7, None])
    seconds = [viewer.round(0)[1].url for viewer in viewers]
    a, b = "http://a.test/whep/phien-hop", "http://b.test/whep/phien-hop"
    assert seconds == [a, b, a, b]
    assert [place.home for place in viewers[0].round(0)] == [True, False, False]


def test_given_alternatives_outlive_what_the_hub_tells() -> None:
    alternatives = Alternatives(["http://a.test"])
    alternatives.told(["http://b.test", "http://a.test"])
    assert alternatives.bases == ("http://a.test", "http://b.test")
    alternatives.told([])
    assert list(alternatives.bases) == ["http://a.test"]


@pytest.mark.parametrize(
    ("bases", "failed", "first", "patience_s", "timeout_s"),
    [
        ((), 0, True, 0.5, 8.0),
        ((), 0, False, 0.5, 4.0),
        ((), 5, False, 8.0, 8.0),
        (("http://a.test",), 0, True, 0.5, 4.0),
        (("http://a.test",), 2, False, 2.0, 8.0),
        (("http://a.test",), 1000, False, 8.0, 8.0),
    ],
)
def test_patience(
    bases: tuple[str, ...], failed: int, first: bool, patience_s: float, timeout_s: float
) -> None:
    places = Places(HOME, Alternatives(bases)).round(failed, first=first)
    assert {(place.patience_s, place.timeout_s) for place in places} == {(patience_s, timeout_s)}
    assert all(place.limit_s > timeout_s for place in places)


def test_a_node_that_has_just_fallen_silent_comes_last() -> None:
    places = Places(HOME, Alternatives(["http://a.test", "http://b.test"]))
    order = [place.url for place in places.round(0, silent="http://a.test")]
    assert order == [HOME, "http://b.test/whep/phien-hop", "http://a.test/whep/phien-hop"]
    assert places.round(0, silent="https://hub.test:8443")[-1].home


def test_an_invitation_with_a_ticket_needs_no_token() -> None:
    assert invited("http://a.test/whep/s?ticket=x").ticket
    assert not invited("http://a.test/whep/s").ticket
    for bad in ("file:///etc/passwd", "/whep/s", "http://", ""):
        with pytest.raises(ValueError, match="HTTP"):
            invited(bad)


def test_a_round_waits_as_long_as_the_most_hopeful_place_asks() -> None:
    later, soon = (NotNowError("x", retry_after_s=s) for s in (5.0, 2.0))
    assert asked_to_wait_s([later, soon]) == 2.0
    assert asked_to_wait_s([later, UnreachableError("gone")]) is None
    assert asked_to_wait_s([ClientError("lost")]) is None
