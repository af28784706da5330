"""Ten minutes of random kills: `python -m tests.soak.chaos --minutes 10 --seed 1`.

A demo with three relays and Redis, 63 viewers, and every few seconds something dies or hangs. At
the end everybody must be watching, and nobody may have leaked sessions, sockets or memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from tests.faults.tier import Tier, p95, tier, until

COMMUNES = 63
PAUSE_S = (8.0, 14.0)
SETTLE_S = 15.0
HANG_S = 3.0
EXPIRY_S = 14.0
MAX_GROWTH = 1.35
MAX_GROWTH_BYTES = 48 << 20
"""Memory of a process that lived through it: both must be passed to count as a leak."""


@dataclass
class Look:
    """A process at one moment."""

    pid: int
    rss_bytes: int
    fds: int
    threads: int
    sockets: int


def look(pid: int) -> Look:
    """Read it off /proc."""
    process = psutil.Process(pid)
    return Look(
        pid,
        process.memory_info().rss,
        process.num_fds(),
        process.num_threads(),
        len(process.net_connections("all")),
    )


def looks(running: Tier) -> dict[str, Look]:
    """All processes by name."""
    children = {c.pid: c.cmdline() for c in psutil.Process(running.process.pid).children()}
    found: dict[str, Look] = {"supervisor": look(running.process.pid)}
    for pid, command in children.items():
        text = " ".join(command)
        config = next((Path(part).stem for part in command if part.endswith(".yaml")), "")
        name = config or ("redis" if "redis-server" in text else "source")
        found[name] = look(pid)
    return found


class Chaos:
    """What may happen, by chance that a seed decides."""

    def __init__(self, running: Tier, seed: int) -> None:
        self._running = running
        self._random = random.Random(seed)
        self._relays = [relay["id"] for relay in running.document["relays"]]
        self.events: list[tuple[float, str]] = []
        self._acts: list[tuple[str, Callable[[], None]]] = [
            *((f"kill {r}", self._signal(r, signal.SIGKILL)) for r in self._relays),
            *((f"stop {r}", self._signal(r, signal.SIGTERM)) for r in self._relays),
            *((f"hang {r}", self._hang(r)) for r in self._relays),
            ("kill hub", self._signal("hub", signal.SIGKILL)),
            ("kill hub", self._signal("hub", signal.SIGKILL)),
            ("kill redis", self._signal("redis", signal.SIGKILL)),
            ("kill origin", self._signal("origin", signal.SIGKILL)),
            ("kill source", self._signal("source", signal.SIGKILL)),
        ]

    def run(self, seconds: float) -> None:
        """One thing after another until the time is over."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            name, act = self._random.choice(self._acts)
            self.events.append((time.time(), name))
            click.echo(f"{end_s - time.monotonic():6.0f} s left: {name}")
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, KeyError):
                act()
            time.sleep(self._random.uniform(*PAUSE_S))

    def _signal(self, name: str, number: signal.Signals) -> Callable[[], None]:
        return lambda: os.kill(looks(self._running)[name].pid, number)

    def _hang(self, name: str) -> Callable[[], None]:
        def hang() -> None:
            pid = looks(self._running)[name].pid
            os.kill(pid, signal.SIGSTOP)
            time.sleep(HANG_S)
            os.kill(pid, signal.SIGCONT)

        return hang


def run(minutes: float, seed: int, folder: Path, settle_s: float = SETTLE_S) -> dict[str, Any]:
    """The whole run; what was found."""
    with tier(folder, "--redis", "auto") as running:
        running.until_ready()
        crowd = running.watch(duration=minutes * 60 + settle_s + 2 * HANG_S + PAUSE_S[1] + 5)
        crowd.until_all_watch()
        time.sleep(3)
        before = looks(running)
        chaos = Chaos(running, seed)
        chaos.run(minutes * 60)
        until(lambda: _is_well(running), 60)
        time.sleep(settle_s)
        after = looks(running)
        served = _served(running)
        final = crowd.result(settle_s + 120)
    return _findings(chaos.events, final, before, after, served)


def _served(running: Tier) -> dict[str, int]:
    """Viewers by relay, once those that left without a word have expired (consent, 10 s)."""
    deadline_s = time.monotonic() + EXPIRY_S
    while True:
        served = {row["id"]: row["viewers"] for row in running.relays().values()}
        if sum(served.values()) <= COMMUNES + 3 or time.monotonic() > deadline_s:
            return served
        time.sleep(0.5)


def _is_well(running: Tier) -> bool:
    rows = running.relays().values()
    live = [r for r in rows if r["role"] == "relay" and r["state"] == "ready"]
    return len(live) == len(running.document["relays"]) and all(
        r["upstream"] == "live" for r in live
    )


def _findings(
    events: list[tuple[float, str]],
    final: dict[str, Any],
    before: dict[str, Look],
    after: dict[str, Look],
    served: dict[str, int],
) -> dict[str, Any]:
    faults: list[str] = []
    if final["connected"] != COMMUNES or final["frozen"]:
        faults.append(f"{final['connected']} of {COMMUNES} watch, {final['frozen']} frozen")
    lived = {n: (before[n], a) for n, a in after.items() if n in before and before[n].pid == a.pid}
    for name, (first, last) in lived.items():
        grown = last.rss_bytes - first.rss_bytes
        if last.rss_bytes > first.rss_bytes * MAX_GROWTH and grown > MAX_GROWTH_BYTES:
            faults.append(f"{name} has grown by {grown >> 20} MB")
        if last.fds > first.fds + 80:
            faults.append(f"{name} has {last.fds} files open, {first.fds} before")
    missing = before.keys() - after.keys()
    if missing:
        faults.append(f"not running: {', '.join(sorted(missing))}")
    if sum(served.values()) > COMMUNES + 3:
        faults.append(f"relays count {sum(served.values())} viewers")
    took = [r["took_ms"] for v in final["per_viewer"] for r in v["recoveries"]]
    return {
        "events": Counter(name for _, name in events),
        "recoveries": len(took),
        "recovery_p50_ms": sorted(took)[len(took) // 2] if took else None,
        "recovery_p95_ms": p95(sorted(took)) if took else None,
        "recovery_max_ms": max(took, default=None),
        "moves": final["moves"],
        "longest_gap_ms": final["longest_gap_ms"],
        "sessions": final["sessions"],
        "by_place": final["by_place"],
        "connected": final["connected"],
        "viewers_by_node": served,
        "processes": {
            name: {
                "lived": name in lived,
                "rss_mb": round(last.rss_bytes / 2**20),
                "rss_mb_before": round(before[name].rss_bytes / 2**20) if name in before else None,
                "fds": last.fds,
                "fds_before": before[name].fds if name in before else None,
                "threads": last.threads,
                "sockets": last.sockets,
            }
            for name, last in sorted(after.items())
        },
        "faults": faults,
    }


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(minutes: float, seed: int, as_json: bool) -> None:
    """Kill and see."""
    with tempfile.TemporaryDirectory(prefix="wardcast-chaos-") as folder:
        found = run(minutes, seed, Path(folder))
    click.echo(json.dumps(found, indent=None if as_json else 1))
    raise SystemExit(1 if found["faults"] else 0)


if __name__ == "__main__":
    main()
