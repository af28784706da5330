"""Which sources of a publisher are its layers now.

A browser stops its richer layers without a word when its line or processor is weak. Viewers must
not wait for them: a layer that is silent while another goes on is out until it speaks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relay.core.line.layer_choice import rank
from relay.core.source import Source

STALLED_MS = 600.0


def live_layers(sources: Iterable[Source], before: Sequence[Source]) -> tuple[Source, ...]:
    """Ranked layers, richest first, of one publisher's sources of one kind.

    before: the layers until now. Of sources with one rid the newest counts.
    """
    newest: dict[str | None, Source] = {}
    for source in sources:
        if source.history.head is not None:
            known = newest.get(source.rid)
            if known is None or source.number > known.number:
                newest[source.rid] = source
    latest_ms = max((_last_ms(s) for s in newest.values()), default=0.0)
    live = [s for s in newest.values() if latest_ms - _last_ms(s) <= STALLED_MS]
    known_live = [s for s in live if s in before or s.history.keyframe is not None]
    return rank(known_live or live, before)


def _last_ms(source: Source) -> float:
    head = source.history.head
    return float("-inf") if head is None else head.arrival_ms
