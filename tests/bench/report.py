"""The bench's results as Markdown: every figure beside the floor and Janus of the same run."""

from __future__ import annotations

import math
from typing import Any

from tests.bench.aims import shortfalls

MAX_QUIET_WAIT = 0.03
"""Above this share of the window something else was busy on the server's core."""

_HEAD = (
    "viewers",
    "server",
    "µs/packet",
    "× floor",
    "× Janus",
    "core",
    "loss",
    "undelivered",
    "video first p50/p99 ms",
    "video last p50/p99 ms",
    "voice last p50/p99 ms",
    "join p50/p95 ms",
    "MB/viewer",
)


def markdown(results: dict[str, Any]) -> str:
    """results: {"floor": [...], "runs": [...], "conditions": {...}} as __main__ collects them."""
    lines = [_conditions(results["conditions"]), ""]
    lines += [_row(_HEAD), _row(["---:"] * len(_HEAD))]
    for viewers in sorted({run["viewers"] for run in results["runs"] + results["floor"]}):
        floors = [run for run in results["floor"] if run["viewers"] == viewers]
        runs = [run for run in results["runs"] if run["viewers"] == viewers]
        lines += [_row(_floor_cells(run)) for run in floors]
        lines += [_row(_run_cells(run, floors, runs)) for run in runs]
    lines += ["", *_disturbed(results["runs"]), *_incomplete(results["runs"])]
    lines += [*_verdict(results["runs"])]
    return "\n".join(lines) + "\n"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _conditions(conditions: dict[str, Any]) -> str:
    drained = "with" if conditions["gro"] else "without"
    return (
        f"{conditions['cpu']}, {conditions['seconds']:g} s a run, server on core 0, "
        f"load on core 1, viewers' sockets {drained} UDP GRO. "
        f"Whole bench: {conditions['took_s']:.0f} s."
    )


def _number(value: float, digits: int = 1) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _pair(values: dict[str, float], first: str, second: str) -> str:
    if not values:
        return "–"
    return f"{_number(values[first])} / {_number(values[second])}"


def _floor_name(run: dict[str, Any]) -> str:
    return "floor, no GSO" if run["train"] == 1 else f"floor, GSO {run['train']}"


def _floor_cells(run: dict[str, Any]) -> list[str]:
    name = _floor_name(run)
    blank = ["–"] * (len(_HEAD) - 8)
    loss = f"{run['lost'] / max(run['packets'], 1):.3%}"
    cost = f"{run['us_per_packet']:.2f}"
    return [str(run["viewers"]), name, cost, "–", "–", "–", loss, loss, *blank]


def _ratio(value: float, other: float | None) -> str:
    return "–" if not other else f"{value / other:.2f}"


def _run_cells(
    run: dict[str, Any], floors: list[dict[str, Any]], runs: list[dict[str, Any]]
) -> list[str]:
    floor = min((one["us_per_packet"] for one in floors), default=None)
    janus = next((one["us_per_packet"] for one in runs if one["server"] == "janus"), None)
    video, voice = run["latency"].get("video", {}), run["latency"].get("audio", {})
    cost = run["us_per_packet"]
    return [
        str(run["viewers"]),
        run["server"],
        f"{cost:.2f}",
        _ratio(cost, floor),
        "–" if run["server"] == "janus" else _ratio(cost, janus),
        f"{run['server_core']:.0%}",
        f"{run['loss']:.3%}",
        f"{run['undelivered']:.1%}",
        _pair(video.get("first", {}), "p50", "p99"),
        _pair(video.get("last", {}), "p50", "p99"),
        _pair(voice.get("last", {}), "p50", "p99"),
        _pair(run["join"]["first_rtp"], "p50", "p95"),
        _number(run["mb_per_viewer"], 2),
    ]


def _disturbed(runs: list[dict[str, Any]]) -> list[str]:
    """Ready threads that waited for the core: latency and joins are not the server's alone."""
    notes = [
        f"- {run['server']} at {run['viewers']}: {run['server_wait']:.0%} of the time"
        for run in runs
        if run["server_wait"] > MAX_QUIET_WAIT
    ]
    head = "Ready to run but kept from its core, by other processes or its own other threads:"
    return [head, *notes, ""] if notes else []


def _incomplete(runs: list[dict[str, Any]]) -> list[str]:
    """A figure per packet flatters a server that did not serve everybody: say so."""
    notes = [
        f"- {run['server']} at {run['viewers']}: {run['join']['joined']} joined, "
        f"{run['silent_viewers']} got nothing while it was measured"
        for run in runs
        if run["join"]["joined"] < run["viewers"] or run["silent_viewers"]
    ]
    return ["Not everybody was served:", *notes, ""] if notes else []


def _verdict(runs: list[dict[str, Any]]) -> list[str]:
    ours = [run for run in runs if run["server"] == "wardcast"]
    if not ours:
        return []
    short = [sentence for run in ours for sentence in shortfalls(run)]
    if not short:
        return ["Every aim is met."]
    return ["Short of the aims:", *[f"- {sentence}" for sentence in short]]
