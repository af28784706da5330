"""Where a viewer may go (sans-I/O): the hub first, then the alternatives that it has told of.

An answer is waited for only shortly before another place is asked too; the patience doubles with
each round in vain, so that a slow line or a crowd at the door is not mistaken for a dead hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from yarl import URL

PATIENCE_S = 0.5
ANSWER_S = 4.0
MAX_ANSWER_S = 8.0
INVITED_ANSWER_S = 2.0
PATH_S = 2.0
"""ICE and DTLS after the answer."""
MAX_ALTERNATIVES = 16


@dataclass(frozen=True)
class Place:
    """A WHEP URL to try. patience_s: without an answer, then the next place is asked too.
    timeout_s: for each HTTP answer. limit_s: until the path is up.
    home: the URL that was asked for, whose refusal counts. ticket: the URL is its own proof.
    shun: origin that a redirect must not lead to."""

    url: str
    patience_s: float
    timeout_s: float
    limit_s: float
    home: bool = False
    ticket: bool = False
    shun: str = ""


class Alternatives:
    """Base URLs that a crowd shares; what is no HTTP URL is let fall."""

    def __init__(self, bases: Iterable[object] = ()) -> None:
        self._fixed = _origins(bases)
        self._told: tuple[str, ...] = ()

    @property
    def bases(self) -> tuple[str, ...]:
        """Those given at the start, then those that the hub told."""
        return tuple(dict.fromkeys((*self._fixed, *self._told)))[:MAX_ALTERNATIVES]

    def told(self, bases: Iterable[object]) -> None:
        """The hub's list; it takes the place of the former one."""
        self._told = _origins(bases)


class Places:
    """One viewer's. turn: which alternative it begins with, so that a crowd spreads."""

    def __init__(
        self, home: str, alternatives: Alternatives | None = None, *, turn: int = 0
    ) -> None:
        self.home = home
        self._alternatives = alternatives or Alternatives()
        self._turn = turn
        self._stream = URL(home).path.rstrip("/").rpartition("/")[2]

    def round(self, failed: int, *, first: bool = False, silent: str = "") -> list[Place]:
        """All places, in order. failed: rounds in vain before. first: no session yet.
        silent: origin that has just fallen silent; it comes last, and a hub that does not know of
        it yet is not obeyed."""
        bases = self._alternatives.bases
        own = str(URL(self.home).origin())
        others = [base for base in bases if base != own]
        shift = self._turn % len(others) if others else 0
        patience_s = min(MAX_ANSWER_S, PATIENCE_S * 2.0 ** min(failed, 10))
        timeout_s = ANSWER_S if others or not first else MAX_ANSWER_S
        if failed:
            timeout_s = MAX_ANSWER_S
        limits = (patience_s, timeout_s, timeout_s + (PATH_S if others else 3 * PATH_S))
        urls = [f"{base}/whep/{self._stream}" for base in (*others[shift:], *others[:shift])]
        places = [
            Place(self.home, *limits, home=True, shun=silent),
            *(Place(url, *limits, shun=silent) for url in urls),
        ]
        return sorted(places, key=lambda place: str(URL(place.url).origin()) == silent)


def invited(url: str) -> Place:
    """A place that a node names in its `reconnect` event. Raises ValueError if it is no URL."""
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("not an HTTP URL")
    limit_s = INVITED_ANSWER_S + PATH_S
    return Place(url, limit_s, INVITED_ANSWER_S, limit_s, ticket="ticket" in parsed.query)


def _origins(bases: Iterable[object]) -> tuple[str, ...]:
    found = []
    for base in bases:
        try:
            url = URL(base) if isinstance(base, str) else URL()
        except ValueError:
            continue
        if url.scheme in ("http", "https") and url.host:
            found.append(str(url.with_query(None).with_fragment(None)).rstrip("/"))
    return tuple(found)
