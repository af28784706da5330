"""What the server is meant to reach, and sentences about where it does not."""

from __future__ import annotations

import math
from typing import Any

MAX_US_PER_PACKET_AT_63 = 6.0
MAX_LATENCY_P50_MS, MAX_LATENCY_P99_MS = 2.0, 8.0
MAX_JOIN_P95_MS = 100.0
MAX_MB_PER_VIEWER = 0.25
MAX_UNDELIVERED = 0.01
"""Above the few packets that are under way when the window opens and closes."""


def shortfalls(run: dict[str, Any]) -> list[str]:
    """One sentence for each aim that this run of ours misses."""
    found = []
    viewers = run["viewers"]
    if run["refused"]:
        found.append(f"{run['refused']} of {viewers} viewers were refused: {run['first_failure']}")
    if run["silent_viewers"]:
        found.append(f"{run['silent_viewers']} of {viewers} viewers got nothing")
    if run["undelivered"] > MAX_UNDELIVERED:
        share = run["undelivered"]
        found.append(f"{share:.1%} of the stream did not reach the viewers at {viewers}")
    if run["lost"]:
        found.append(_loss_sentence(run))
    if viewers == 63:
        found += _at_63(run)
    if viewers >= 63 and run["mb_per_viewer"] > MAX_MB_PER_VIEWER:
        found.append(
            f"{run['mb_per_viewer']:.2f} MB per viewer at {viewers}, aim {MAX_MB_PER_VIEWER}"
        )
    return found


def _loss_sentence(run: dict[str, Any]) -> str:
    drops = run["client_socket_drops"]
    whose = f", {drops} of them in the load client's own sockets" if drops else ""
    return f"{run['lost']} packets lost at {run['viewers']} viewers{whose}"


def _at_63(run: dict[str, Any]) -> list[str]:
    last = run["latency"].get("video", {}).get("last", {})
    checks = (
        ("µs per delivered packet", run["us_per_packet"], MAX_US_PER_PACKET_AT_63),
        ("ms video latency p50, last viewer", last.get("p50", math.nan), MAX_LATENCY_P50_MS),
        ("ms video latency p99, last viewer", last.get("p99", math.nan), MAX_LATENCY_P99_MS),
        ("ms join p95", run["join"]["first_rtp"]["p95"], MAX_JOIN_P95_MS),
    )
    return [
        f"{value:.1f} {name} at 63 viewers, aim {limit:g}"
        for name, value, limit in checks
        if not value <= limit
    ]
