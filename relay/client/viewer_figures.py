"""The figures of one viewer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

Entry = TypeVar("Entry")

FROZEN_MS = 1000.0
"""A picture that has not changed for this long is frozen."""
MAX_ENTRIES = 1000
"""Kept of each list; the first ones go."""


@dataclass(frozen=True)
class Recovery:
    """A loss or a move that was got over. at_s: since the start of the watch, when it was noticed.
    took_ms: from the last media packet before to the first one after; of a move, the longest
    pause between media packets of either session until the new one has taken over."""

    at_s: float
    reason: str
    took_ms: float


@dataclass(frozen=True)
class Visit:
    """at_s: when a session at this origin was taken into use."""

    at_s: float
    origin: str


@dataclass
class ViewerFigures:
    """One viewer since its start; bitrate, fps and jitter are of the last interval.

    join_ms: from POST to the first RTP packet of the first session, None if it never came.
    gaps: times that media stopped for more than the recovery limit. frozen: no new picture for
    FROZEN_MS. after repair: `lost` counts what neither came nor was repaired.
    """

    name: str
    state: str = "connecting"
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    expected: int = 0
    repaired: int = 0
    out_of_order: int = 0
    duplicates: int = 0
    bitrate_bps: int = 0
    jitter_ms: float = 0.0
    rtt_ms: float | None = None
    fps: float = 0.0
    frames: int = 0
    join_ms: float | None = None
    longest_gap_ms: float = 0.0
    gaps: int = 0
    sessions: int = 0
    frozen: bool = True
    decoded: int = 0
    error: str | None = None
    recoveries: list[Recovery] = field(default_factory=list)
    moves: list[Recovery] = field(default_factory=list)
    failed_moves: int = 0
    places: list[Visit] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Origin of the session in use, "" before the first."""
        return self.places[-1].origin if self.places else ""

    def recovered(self, entry: Recovery) -> None:
        """A loss is over."""
        _append(self.recoveries, entry)

    def moved(self, entry: Recovery) -> None:
        """A `reconnect` was followed."""
        _append(self.moves, entry)

    def arrived(self, entry: Visit) -> None:
        """Another session is in use."""
        _append(self.places, entry)


def _append(entries: list[Entry], entry: Entry) -> None:
    entries.append(entry)
    del entries[:-MAX_ENTRIES]
