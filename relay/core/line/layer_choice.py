"""Which layer a viewer gets: a function of the layers, its line and its wishes.

Layers are ranked by picture size, then by bitrate. A viewer gets the richest one that its line
carries, that is no larger than what it can show, and that nobody has pinned away; none if its line
does not carry even the lowest: sound goes on alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from relay.core.source import Source
from relay.core.thinning import NO_CAP

KEEP_MARGIN, RAISE_MARGIN = 1.08, 0.95
"""A layer that is being sent is kept until the line falls this far below its rate; a richer one
must fit with room to spare."""

SOLE_MARGIN = 1.3
"""A picture of one size with nothing below it is not given up for a small want."""

RANK_MARGIN = 1.3
"""Layers of one picture size change places when one has this much more bitrate."""

SIZE_MARGIN = 0.8
"""A picture this much smaller than its place on the screen is good enough."""

_GUESSED_BITS_PER_PIXEL = 0.08
_GUESSED_FPS = 25.0
_GUESSED_BPS = 1_000_000.0


class Reason(StrEnum):
    """Why a viewer gets no more than it does."""

    LINE = "line"
    SIZE = "size"
    PIN = "pin"
    PUBLISHER = "publisher"


@dataclass(frozen=True, slots=True)
class LayerWish:
    """What limits a viewer's choice.

    budget_bps: what its line carries of video, headers included; infinity when nothing is known
    against it. max_width, max_height: of the place where it shows the picture, 0 = any. rid: the
    layer that it asked for. pinned_rid: the layer that an operator chose for it; goes before all
    else but the line. rank: the layer of this rank and no other, for a relay, which takes them all.
    max_temporal_id: no temporal layer above it.
    """

    budget_bps: float = float("inf")
    max_width: int = 0
    max_height: int = 0
    rid: str | None = None
    pinned_rid: str | None = None
    rank: int | None = None
    max_temporal_id: int = NO_CAP

    def with_budget(self, budget_bps: float) -> LayerWish:
        """The same wish over another line."""
        return replace(self, budget_bps=budget_bps)

    def for_height(self, max_height: int) -> LayerWish:
        """The same wish for a picture of other lines."""
        return replace(self, max_height=max_height)


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """source: None for sound alone. reason: what kept it from the richest layer. cap: temporal
    layers above it are left out."""

    source: Source | None
    reason: Reason
    cap: int = NO_CAP


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can be sent. rate_bps: on the wire."""

    source: Source
    cap: int
    rate_bps: float


def rate_of(source: Source, cap: int = NO_CAP) -> float:
    """What a layer takes on the wire, in bit/s: measured, or guessed from its picture size."""
    measured = source.wire_bps(cap)
    if measured > 0:
        return measured
    if source.size is None:
        return _GUESSED_BPS
    return source.size[0] * source.size[1] * _GUESSED_BITS_PER_PIXEL * _GUESSED_FPS


def rank(sources: Sequence[Source], before: Sequence[Source] = ()) -> tuple[Source, ...]:
    """Richest first. before: the order until now, kept where sizes are alike and rates close."""
    order = {source.number: i for i, source in enumerate(before)}
    ranked = sorted(sources, key=lambda s: (-_pixels(s), order.get(s.number, len(order))))
    for i in range(1, len(ranked)):
        j = i
        while j and _pixels(ranked[j]) == _pixels(ranked[j - 1]):
            if ranked[j].bitrate_bps <= RANK_MARGIN * ranked[j - 1].bitrate_bps:
                break
            ranked[j], ranked[j - 1] = ranked[j - 1], ranked[j]
            j -= 1
    return tuple(ranked)


def steps(layers: Sequence[Source], wish: LayerWish) -> tuple[list[Step], Reason]:
    """What a viewer may be sent, best first, and why it may not have more.

    The picture gets smaller first, and then, of the lowest layer, frames are left out.
    """
    first, reason = _wished(layers, wish)
    ladder = [Step(source, NO_CAP, rate_of(source)) for source in layers[first:]]
    last = layers[-1]
    caps = range(last.top_temporal_id - 1, -1, -1)
    ladder += [Step(last, cap, rate_of(last, cap)) for cap in caps]
    return ladder, reason


def choose_layer(
    layers: Sequence[Source], wish: LayerWish, current: LayerChoice | None = None
) -> LayerChoice:
    """The layer for a viewer that now gets `current`. layers: ranked, richest first, not empty."""
    if wish.rank is not None:
        source = layers[wish.rank] if wish.rank < len(layers) else None
        return LayerChoice(source, Reason.PUBLISHER)
    ladder, reason = steps(layers, wish)
    at = position(ladder, current)
    for i, step in enumerate(ladder):
        margin = KEEP_MARGIN if i == at else RAISE_MARGIN if i < at else 1.0
        if len(ladder) == 1 and i == at:
            margin = SOLE_MARGIN
        if step.rate_bps <= wish.budget_bps * margin:
            cap = min(step.cap, wish.max_temporal_id)
            return LayerChoice(step.source, reason if i == 0 else Reason.LINE, cap)
    return LayerChoice(None, Reason.LINE)


def position(ladder: Sequence[Step], choice: LayerChoice | None) -> int:
    """Where a choice stands in the ladder: its length for sound alone, -1 for what is not in it."""
    if choice is None:
        return -1
    if choice.source is None:
        return len(ladder)
    whole = -1
    for i, step in enumerate(ladder):
        if step.source is choice.source:
            if step.cap == choice.cap:
                return i
            whole = i if step.cap == NO_CAP else whole
    return whole


def _wished(layers: Sequence[Source], wish: LayerWish) -> tuple[int, Reason]:
    """Index of the layer that it would get over a perfect line, and why no richer one."""
    if wish.pinned_rid is not None:
        for i, source in enumerate(layers):
            if source.rid == wish.pinned_rid:
                return i, Reason.PIN
    if wish.rid is not None:
        for i, source in enumerate(layers):
            if source.rid == wish.rid:
                return i, Reason.SIZE
    chosen = 0
    for i, source in enumerate(layers[1:], 1):
        if not _fills(source, wish):
            break
        chosen = i
    return chosen, Reason.SIZE if chosen else Reason.PUBLISHER


def _fills(source: Source, wish: LayerWish) -> bool:
    """Whether a picture is as large as its place, which it fills one way or the other."""
    if source.size is None:
        return False
    pairs = zip(source.size, (wish.max_width, wish.max_height), strict=True)
    return any(place and pixels >= place * SIZE_MARGIN for pixels, place in pairs)


def _pixels(source: Source) -> int:
    return 0 if source.size is None else source.size[0] * source.size[1]
