"""Which relay serves a commune: weighted rendezvous hashing with bounded load. Pure.

Every commune ranks all relays by a hash of both names, so that a relay that comes or goes moves its
own communes alone. A relay that is past its share is passed over, so that load stays even; relays
without recent evidence of life come after those with it, and relays that a viewer could not reach
after all others. docs/decisions/0008-placement.md has the figures.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

SLACK_VIEWERS = 1.0
SLACK_RATIO = 0.05
"""How far past its share a relay may be filled, by whichever is more: room for communes to stay
where their hash has them."""
BUSY = 0.85
"""Share of a core past which a relay is passed over while another is calm."""

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
    if not usable:
        return None
    best = min(_order(r, avoid) for r in usable)
    ranked = rank(commune, [r for r in usable if _order(r, avoid) == best])
    pinned = [r for r in ranked if r.id == chosen] or [r for r in ranked if commune in r.affinity]
    if pinned:
        return Placement(pinned[0].id, "pinned")
    found = _first_with_room(ranked, usable)
    if not found.fresh:
        return Placement(found.id, "stale")
    return Placement(found.id, "hash" if found is ranked[0] else "overflow")


def alternatives(
    commune: str, relays: Sequence[RelayLoad], *, first: str | None = None
) -> list[str]:
    """Ids that a page may try by itself, best first, stale ones last.

    first: goes before its like, fresh or stale; relays pinned to the commune come next.
    """
    usable = [r for r in relays if r.ready and not r.draining]
    order = sorted(
        rank(commune, usable),
        key=lambda r: (not r.fresh, r.id != first, commune not in r.affinity),
    )
    return [r.id for r in order]


def _order(relay: RelayLoad, avoid: AbstractSet[str]) -> tuple[bool, bool]:
    """Lower goes first: reachable before avoided, then fresh before stale."""
    return relay.id in avoid, not relay.fresh


def _first_with_room(ranked: Sequence[RelayLoad], usable: Sequence[RelayLoad]) -> RelayLoad:
    """The first of `ranked` that is not past its share of all viewers and one more; when all are,
    the least loaded for its weight. Busy relays only when none is calm."""
    capacity = sum(r.capacity for r in usable)
    viewers = sum(r.viewers for r in usable) + 1
    pool = [r for r in ranked if r.busy <= BUSY] or ranked
    for relay in pool:
        share = viewers * relay.capacity / capacity
        if relay.viewers + 1 <= share + max(SLACK_VIEWERS, share * SLACK_RATIO):
            return relay
    return min(pool, key=lambda r: r.viewers / r.capacity)


def _score(commune: str, relay: RelayLoad) -> float:
    digest = hashlib.blake2b(f"{commune}\0{relay.id}".encode(), digest_size=8).digest()
    # 53 bits fill a float's mantissa; the half keeps u off 0 and 1.
    u = ((int.from_bytes(digest, "big") >> 11) + 0.5) / (1 << 53)
    return -relay.capacity / math.log(u)
