"""What a watched crowd looks like: figures of each viewer and of all together (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from relay.client.viewer_figures import ViewerFigures


@dataclass(frozen=True)
class CrowdFigures:
    """All viewers together. Percentiles of join are over those that joined, of recovery over all
    losses that were got over. by_place: live viewers at each origin."""

    elapsed_s: float
    viewers: int
    connected: int
    frozen: int
    packets: int
    lost: int
    loss: float
    out_of_order: int
    repaired: int
    bitrate_bps: int
    jitter_ms_p95: float
    rtt_ms_p50: float | None
    fps_p50: float
    fps_min: float
    join_ms_p50: float | None
    join_ms_p95: float | None
    longest_gap_ms: float
    sessions: int
    recoveries: int
    recovery_p50_ms: float | None
    recovery_p95_ms: float | None
    recovery_max_ms: float | None
    moves: int
    move_max_ms: float | None
    by_place: dict[str, int]
    errors: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def crowd(viewers: Sequence[ViewerFigures], elapsed_s: float) -> CrowdFigures:
    """Sum up `viewers`."""
    expected = sum(v.expected for v in viewers)
    lost = sum(v.lost for v in viewers)
    joins = [v.join_ms for v in viewers if v.join_ms is not None]
    fps = [v.fps for v in viewers]
    recoveries = [entry.took_ms for v in viewers for entry in v.recoveries]
    moves = [entry.took_ms for v in viewers for entry in v.moves]
    return CrowdFigures(
        elapsed_s=round(elapsed_s, 1),
        viewers=len(viewers),
        connected=sum(v.state == "live" for v in viewers),
        frozen=sum(v.frozen for v in viewers),
        packets=sum(v.packets for v in viewers),
        lost=lost,
        loss=round(lost / expected, 6) if expected else 0.0,
        out_of_order=sum(v.out_of_order for v in viewers),
        repaired=sum(v.repaired for v in viewers),
        bitrate_bps=sum(v.bitrate_bps for v in viewers),
        jitter_ms_p95=_rounded(percentile([v.jitter_ms for v in viewers], 0.95)) or 0.0,
        rtt_ms_p50=_rounded(percentile([v.rtt_ms for v in viewers if v.rtt_ms is not None], 0.5)),
        fps_p50=percentile(fps, 0.5) or 0.0,
        fps_min=min(fps, default=0.0),
        join_ms_p50=_rounded(percentile(joins, 0.5)),
        join_ms_p95=_rounded(percentile(joins, 0.95)),
        longest_gap_ms=max((v.longest_gap_ms for v in viewers), default=0.0),
        sessions=sum(v.sessions for v in viewers),
        recoveries=len(recoveries),
        recovery_p50_ms=_rounded(percentile(recoveries, 0.5)),
        recovery_p95_ms=_rounded(percentile(recoveries, 0.95)),
        recovery_max_ms=max(recoveries, default=None),
        moves=len(moves),
        move_max_ms=max(moves, default=None),
        by_place=dict(Counter(v.place for v in viewers if v.state == "live")),
        errors=dict(Counter(v.error for v in viewers if v.error)),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def describe_one(viewer: ViewerFigures) -> str:
    """A live line for a single viewer."""
    if viewer.state != "live":
        return f"{viewer.state}{f': {viewer.error}' if viewer.error else ''}"
    rtt = "–" if viewer.rtt_ms is None else f"{viewer.rtt_ms:.0f} ms"
    loss = viewer.lost / viewer.expected if viewer.expected else 0.0
    frozen = "  FROZEN" if viewer.frozen else ""
    return (
        f"{viewer.bitrate_bps / 1e6:.2f} Mbit/s  {viewer.fps:.0f} fps  loss {loss:.2%}"
        f"  jitter {viewer.jitter_ms:.1f} ms  RTT {rtt}{frozen}"
    )


def describe_crowd(figures: CrowdFigures) -> str:
    """A live line for many."""
    errors = "  ".join(f"{count}× {text}" for text, count in figures.errors.items())
    recovered = (
        f"  recoveries {figures.recoveries} (max {figures.recovery_max_ms:.0f} ms)"
        if figures.recovery_max_ms is not None
        else ""
    )
    return (
        f"{figures.connected}/{figures.viewers} viewers  {figures.bitrate_bps / 1e6:.1f} Mbit/s"
        f"  loss {figures.loss:.3%}  jitter p95 {figures.jitter_ms_p95:.1f} ms"
        f"  fps min {figures.fps_min:.0f}  frozen {figures.frozen}{recovered}  {errors}"
    ).rstrip()
