"""The relay tier under the bench's load: what a hop costs, what one and two workers carry."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any

from tests.bench.processes import (
    LOAD_CORE,
    SERVER_CORE,
    BenchError,
    end,
    python,
    read_json_line,
    spawn,
)
from tests.bench.wardcast import command, loopback

START_S = 60.0
LOAD_S = 120.0
WARM_S = 2.5
JOINS_PER_SECOND = 60.0
SETTLE_S = 3.0
WORKER_STEPS = (100, 200, 300, 400, 500, 600)
WORKER_SECONDS = 5.0
MAX_LATENCY_MS = 100.0
ANY_CORE = 1 << 10
"""Where cores are what is being measured: the system places every process."""


@dataclass(frozen=True)
class TierUnderTest:
    """A started tier. urls: WHEP of each relay. chain_pid: supervisor of hub, origin and relays."""

    urls: list[str]
    relay_pids: list[int]
    chain_pid: int
    publisher: tuple[str, ...]
    tokens: list[str]


@contextmanager
def start_tier(log: IO[bytes], relays: int, core: int) -> Iterator[TierUnderTest]:
    """`wardcast demo --relays N --no-source`, all of its processes on `core`."""
    with ExitStack() as stack:
        process = _spawned(stack, [*command(), "--relays", str(relays)], core, log)
        ready = read_json_line(process, START_S, "wardcast demo --relays")
        publisher = ("--whip", loopback(ready["whip_url"]), "--token", ready["publish_token"])
        tier = TierUnderTest(
            urls=[relay["whep_url"] for relay in ready["relays"]],
            relay_pids=[relay["pid"] for relay in ready["relays"]],
            chain_pid=process.pid,
            publisher=publisher,
            tokens=list(ready["view_tokens"].values()),
        )
        load_core = LOAD_CORE if core != ANY_CORE else ANY_CORE
        publishing = _spawned(stack, python("tests.bench.publisher", *publisher), load_core, log)
        read_json_line(publishing, 30, "the publisher")
        time.sleep(WARM_S)
        yield tier


def run_hops(viewers: int, seconds: float, log: IO[bytes]) -> list[dict[str, Any]]:
    """The relay alone, then the whole chain (supervisor, hub, origin, relay), on one core."""
    found = []
    for name, whole in (("relay", False), ("chain", True)):
        with start_tier(log, 1, SERVER_CORE) as tier:
            pid = tier.chain_pid if whole else tier.relay_pids[0]
            settings = _settings(tier, tier.urls[0], viewers, seconds, pid)
            (result,) = _loads([settings], log)
            found.append({"server": name, **result})
    return found


def run_workers(workers: int, log: IO[bytes]) -> list[dict[str, Any]]:
    """More viewers step by step until the workers do not sustain them any more."""
    steps: list[dict[str, Any]] = []
    for viewers in WORKER_STEPS:
        with start_tier(log, workers, ANY_CORE) as tier:
            share = viewers // workers
            settings = [
                {**_settings(tier, url, share, WORKER_SECONDS, pid), "core": ANY_CORE}
                for url, pid in zip(tier.urls, tier.relay_pids, strict=True)
            ]
            try:
                results = _loads(settings, log)
            except BenchError as error:
                steps.append({"viewers": viewers, "sustained": False, "why": str(error)})
                break
        steps.append(_step(viewers, results))
        if not steps[-1]["sustained"]:
            break
    return steps


def _step(viewers: int, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    loss = max(result["loss"] for result in results)
    undelivered = max(result["undelivered"] for result in results)
    latency_ms = max(result["latency"]["video"]["last"]["p99"] for result in results)
    good = loss == 0 and undelivered < 0.001 and latency_ms <= MAX_LATENCY_MS
    return {
        "viewers": viewers,
        "sustained": good,
        "loss": loss,
        "undelivered": undelivered,
        "latency_p99_ms": latency_ms,
        "relay_cores": sum(result["server_core"] for result in results),
        "client_cores": sum(result["client_core"] for result in results),
        "us_per_packet": sum(r["us_per_packet"] * r["packets"] for r in results)
        / sum(r["packets"] for r in results),
    }


def _settings(
    tier: TierUnderTest, url: str, viewers: int, seconds: float, pid: int
) -> dict[str, Any]:
    return {
        "api": "whep",
        "url": url,
        "tokens": tier.tokens,
        "viewers": viewers,
        "join_seconds": viewers / JOINS_PER_SECOND,
        "settle_seconds": SETTLE_S,
        "seconds": seconds,
        "server_pid": pid,
        "server_core": SERVER_CORE,
        "core": LOAD_CORE,
        "gro": False,
    }


def _loads(settings: Sequence[dict[str, Any]], log: IO[bytes]) -> list[dict[str, Any]]:
    """One load client for each, at the same time."""
    with ExitStack() as stack:
        clients = []
        for one in settings:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".json"))
            json.dump(one, file)
            file.flush()
            client_command = python("tests.bench.load_client", file.name)
            clients.append(_spawned(stack, client_command, one["core"], log))
        return [read_json_line(client, LOAD_S, "load") for client in clients]


def _spawned(
    stack: ExitStack, arguments: Sequence[str], core: int, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """A child that is ended with the stack; ANY_CORE lets it run everywhere."""
    home = os.sched_getaffinity(0)
    try:
        if core == ANY_CORE:
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        process = spawn(arguments, core, log)
    finally:
        os.sched_setaffinity(0, home)
    stack.callback(end, process, 20.0)
    return process


def hops_markdown(floor: dict[str, Any], direct: dict[str, Any], hops: list[dict[str, Any]]) -> str:
    """1 hop, the relay of 2 hops alone, and all processes of 2 hops, beside the floor."""
    lines = [
        "| hops | µs/packet | × floor | × 1 hop | video last p50/p99 ms | loss |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    names = {"wardcast": "1 (origin alone)", "relay": "2, the relay", "chain": "2, all processes"}
    for run in (direct, *hops):
        last = run["latency"]["video"]["last"]
        lines.append(
            f"| {names[run['server']]} | {run['us_per_packet']:.2f} "
            f"| {run['us_per_packet'] / floor['us_per_packet']:.2f} "
            f"| {run['us_per_packet'] / direct['us_per_packet']:.2f} "
            f"| {last['p50']:.1f} / {last['p99']:.1f} | {run['loss']:.3%} |"
        )
    return "\n".join(lines) + "\n"


def workers_markdown(found: dict[int, list[dict[str, Any]]]) -> str:
    """The last step that was sustained, and the first that was not."""
    lines = [
        "| workers | viewers | sustained | p99 ms | loss | undelivered | cores: relays | load |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for workers, steps in found.items():
        for step in steps:
            if "why" in step:
                lines.append(f"| {workers} | {step['viewers']} | no: {step['why']} | | | | | |")
                continue
            word = "yes" if step["sustained"] else "no"
            lines.append(
                f"| {workers} | {step['viewers']} | {word} | {step['latency_p99_ms']:.0f} "
                f"| {step['loss']:.3%} | {step['undelivered']:.3%} "
                f"| {step['relay_cores']:.2f} | {step['client_cores']:.2f} |"
            )
    return "\n".join(lines) + "\n"
