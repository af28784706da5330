"""The figures of one viewer."""

from __future__ import annotations

from dataclasses import dataclass

FROZEN_MS = 1000.0
"""A picture that has not changed for this long is frozen."""


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
