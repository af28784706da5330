"""Which relay serves a commune: weighted rendezvous hashing with bounded load. Pure.

Every commune ranks all relays by a hash of both names, so that a relay that comes or goes moves its
own communes alone. A relay that has its share is passed over, so that load stays even; relays
without recent evidence of life come last, and relays that a viewer could not reach after those.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

SLACK = 0.05
"""How far past its share a relay may be filled to keep communes where their hash has them."""
BUSY = 0.85
"""Share of a core from which a relay counts as having its share."""

Reason = Literal["pinned", "hash", "overflow", "stale"]


@dataclass(frozen=True)
class RelayLoad:
    """A relay as placement sees it. viewers: with placements under way. fresh: recent evidence of
    life. affinity: communes that it is for. busy: share of one core, 0 … 1."""

    id: str
    capacity: int
    viewers: int
    ready: bool
    draining: bool
    fresh: bool
    affinity: frozenset[str] = frozenset()
    busy: float = 0.0


@dataclass(frozen=True)
class Placement:
    """What was decided, and why."""

    relay: str
    reason: Reason


def rank(commune: str, relays: Iterable[RelayLoad]) -> list[RelayLoad]:
    """Highest random weight first: -capacity / ln(u), u in (0, 1) from the names."""
    return sorted(relays, key=lambda relay: (-_score(commune, relay), relay.id))


def place(
    commune: str,
    relays: Sequence[RelayLoad],
    *,
    avoid: AbstractSet[str] = frozenset(),
    chosen: str | None = None,
) -> Placement | None:
    """The relay for one more viewer of `commune`; None when none can take it.

    chosen: an operator's choice. avoid: relays that this viewer could not reach.
    """
    usable = [r for r in relays if r.ready and not r.draining and r.viewers < r.capacity]
    for tier, is_first in _tiers(usable, avoid):
        ranked = rank(commune, tier)
        pinned = [r for r in ranked if r.id == chosen] or [
            r for r in ranked if commune in r.affinity
        ]
        if pinned:
            return Placement(pinned[0].id, "pinned")
        has_room = _has_room(usable)
        roomy = [r for r in ranked if has_room(r)]
        found = roomy[0] if roomy else min(ranked, key=lambda r: r.viewers / r.capacity)
        if not is_first:
            return Placement(found.id, "stale")
        return Placement(found.id, "hash" if found is ranked[0] else "overflow")
    return None


def alternatives(
    commune: str, relays: Sequence[RelayLoad], *, first: str | None = None
) -> list[str]:
    """Ids that a page may try by itself, best first, stale ones last. first: leads the list."""
    usable = [r for r in relays if r.ready and not r.draining]
    order = [r.id for tier, _ in _tiers(usable, frozenset()) for r in rank(commune, tier)]
    return sorted(order, key=lambda name: name != first)


def _tiers(
    relays: Sequence[RelayLoad], avoid: AbstractSet[str]
) -> list[tuple[list[RelayLoad], bool]]:
    """Fresh ones, stale ones, those to be avoided; (relays, whether it is the first choice)."""
    fresh = [r for r in relays if r.fresh and r.id not in avoid]
    stale = [r for r in relays if not r.fresh and r.id not in avoid]
    avoided = [r for r in relays if r.id in avoid]
    tiers = ((fresh, True), (stale, False), (avoided, False))
    return [(tier, is_first) for tier, is_first in tiers if tier]


def _has_room(relays: Sequence[RelayLoad]) -> Callable[[RelayLoad], bool]:
    """Whether a relay is below its share of all viewers and one more."""
    capacity = sum(r.capacity for r in relays)
    viewers = sum(r.viewers for r in relays) + 1
    calm = any(r.busy <= BUSY for r in relays)

    def has_room(relay: RelayLoad) -> bool:
        share = viewers * relay.capacity / capacity
        bound = max(math.ceil(share), share * (1 + SLACK))
        return relay.viewers + 1 <= bound and not (calm and relay.busy > BUSY)

    return has_room


def _score(commune: str, relay: RelayLoad) -> float:
    digest = hashlib.blake2b(f"{commune}\0{relay.id}".encode(), digest_size=8).digest()
    # 53 bits fill a float's mantissa; the half keeps u off 0 and 1.
    u = ((int.from_bytes(digest, "big") >> 11) + 0.5) / (1 << 53)
    return -relay.capacity / math.log(u)
