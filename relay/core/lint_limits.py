"""Thresholds of the ingest linter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class LintLimits:
    """What counts as a fault. Times in milliseconds, rates in bits per second.

    video_budget_bps: the most that all video layers together may take.
    video_floor_bps: less than this from one encoder hardly makes a picture.
    keyframe_gap_slack_ms: added to both gaps, for pacing and jitter: an encoder set to 2 s is well.
    connect_grace_ms: silence allowed before the first packet of all.
    quiet_level: RFC 6464 level (minus dBov) from which on sound counts as none.
    clipping_level: level up to which sound counts as clipped; clipping_share: of the packets of a
    window. backward_share: of frames whose time lies before an earlier one's.
    """

    video_budget_bps: float = 4_000_000
    video_floor_bps: float = 100_000
    window_ms: float = 2000.0
    no_media_ms: float = 2000.0
    connect_grace_ms: float = 5000.0
    keyframe_gap_warning_ms: float = 2000.0
    keyframe_gap_error_ms: float = 5000.0
    keyframe_gap_slack_ms: float = 400.0
    min_fps: float = 10.0
    quiet_level: int = 75
    quiet_ms: float = 5000.0
    clipping_level: int = 1
    clipping_share: float = 0.2
    backward_share: float = 0.3
    malformed_packets: int = 3
    resolution_note_ms: float = 10_000.0
