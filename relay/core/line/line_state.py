"""What a viewer gets and why, in the words of the event `line` (docs/bad-networks.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.core.line.layer_choice import Reason
from relay.core.source import Source


class LineState(StrEnum):
    """full: the best that makes sense for it. reduced: less, because of its line. audio-only: its
    line does not carry the lowest layer."""

    FULL = "full"
    REDUCED = "reduced"
    AUDIO_ONLY = "audio-only"


@dataclass(frozen=True, slots=True)
class LineStatus:
    """rid, width, height: of the layer, None where unknown. estimate_bps: None while nothing
    bounds the line."""

    state: LineState = LineState.FULL
    reason: Reason = Reason.PUBLISHER
    rid: str | None = None
    width: int | None = None
    height: int | None = None
    estimate_bps: float | None = None

    @classmethod
    def of(cls, source: Source | None, reason: Reason, estimate_bps: float) -> LineStatus:
        """The status of a viewer that is to get `source`."""
        bound = None if estimate_bps == float("inf") else estimate_bps
        if source is None:
            return cls(LineState.AUDIO_ONLY, Reason.LINE, estimate_bps=bound)
        state = LineState.REDUCED if reason is Reason.LINE else LineState.FULL
        width, height = source.size or (None, None)
        return cls(state, reason, source.rid, width, height, bound)

    def same_words(self, other: LineStatus) -> bool:
        """Nothing changed that a person would be told."""
        mine = (self.state, self.reason, self.rid, self.height)
        return mine == (other.state, other.reason, other.rid, other.height)

    def event(self) -> dict[str, object]:
        """The data of the event `line`."""
        kbps = None if self.estimate_bps is None else round(self.estimate_bps / 1000)
        return {
            "state": self.state.value,
            "rid": self.rid,
            "width": self.width,
            "height": self.height,
            "estimate_kbps": kbps,
            "reason": self.reason.value,
        }
