"""`python -m tests.bench`: the server, the floor and Janus under the same load on this machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from tests.bench import cpu
from tests.bench.janus import installed, start_janus
from tests.bench.processes import (
    LOAD_CORE,
    SERVER_CORE,
    BenchError,
    ServerUnderTest,
    end,
    python,
    read_json_line,
    running,
    spawn,
)
from tests.bench.profiling import sample
from tests.bench.report import markdown
from tests.bench.tier import hops_markdown, run_hops, run_workers, workers_markdown
from tests.bench.wardcast import start_wardcast

_VIEWERS = (1, 63, 250, 500)
HOP_VIEWERS = 63
_JOINS_PER_SECOND = 31.5  # 63 in 2 s
_SETTLE_S = 3.0
_FLOOR_SECONDS = 3.0
_LOAD_PATIENCE_S = 120.0

Started = AbstractContextManager[tuple[ServerUnderTest, "subprocess.Popen[bytes]"]]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--viewers",
        type=lambda text: tuple(int(part) for part in text.split(",")),
        default=_VIEWERS,
        help="numbers of viewers, comma-separated (default 1,63,250,500)",
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="measured time of each run")
    parser.add_argument("--only", choices=("wardcast", "floor", "janus", "hops", "workers"))
    parser.add_argument("--gro", action="store_true", help="viewers' sockets take UDP GRO trains")
    parser.add_argument("--json", action="store_true", help="print results as JSON instead")
    parser.add_argument("--profile", action="store_true", help="sample the server while it runs")
    parser.add_argument("--log", type=Path, help="keep what the servers write")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run_server(
    started: Started, viewers: int, options: argparse.Namespace, log: IO[bytes]
) -> dict[str, Any]:
    """Publisher and viewers on one server; the load client's figures."""
    with started as (server, process):
        publisher = python("tests.bench.publisher", *server.publisher)
        with running(publisher, LOAD_CORE, log) as publishing:
            read_json_line(publishing, 30, "the publisher")
            time.sleep(2.5)  # a whole group of pictures is with the server, and its warnings too
            result = _load(server, viewers, options, log)
            if process.poll() is not None:
                raise BenchError(f"{server.name} ended by itself with {process.returncode}")
    return {"server": server.name, **result}


def _load(
    server: ServerUnderTest, viewers: int, options: argparse.Namespace, log: IO[bytes]
) -> dict[str, Any]:
    join_seconds = viewers / _JOINS_PER_SECOND
    settings = {
        "api": server.api,
        "url": server.url,
        "tokens": server.tokens,
        "viewers": viewers,
        "join_seconds": join_seconds,
        "settle_seconds": _SETTLE_S,
        "seconds": options.seconds,
        "server_pid": server.pid,
        "server_core": SERVER_CORE,
        "core": LOAD_CORE,
        "gro": options.gro,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        load = spawn(python("tests.bench.load_client", file.name), LOAD_CORE, log)
        try:
            if options.profile and server.name == "wardcast":
                time.sleep(join_seconds + _SETTLE_S + 2)
                _say(sample(server.pid, max(options.seconds - 2, 2)))
            return read_json_line(load, join_seconds + options.seconds + _LOAD_PATIENCE_S, "load")
        finally:
            end(load)


def run_floor(viewers: int, train: int, options: argparse.Namespace, log: IO[bytes]) -> Any:
    gro = "gro" if options.gro else "plain"
    command = python("tests.bench.floor", str(viewers), str(_FLOOR_SECONDS), str(train), gro)
    with running(command, SERVER_CORE, log) as process:
        return read_json_line(process, 60, "the floor")


def _floors(options: argparse.Namespace, log: IO[bytes]) -> list[dict[str, Any]]:
    """GSO 8 for every number of viewers; shorter trains where the aims are set."""
    compared = 63 if 63 in options.viewers else options.viewers[0]
    found = []
    for viewers in options.viewers:
        for train in (8, 4, 1) if viewers == compared else (8,):
            _say(f"floor: {viewers} viewers, {train} packets a train")
            found.append(run_floor(viewers, train, options, log))
    return found


def _runs(name: str, options: argparse.Namespace, log: IO[bytes]) -> list[dict[str, Any]]:
    found = []
    for viewers in options.viewers:
        _say(f"{name}: {viewers} viewers")
        started = start_janus(log) if name == "janus" else start_wardcast(log)
        try:
            found.append(run_server(started, viewers, options, log))
        except BenchError as error:
            _say(f"{name} with {viewers} viewers: {error}")
    return found


def _hops(options: argparse.Namespace, log: IO[bytes]) -> dict[str, Any]:
    """Floor, one hop and two hops with 63 viewers, one after the other."""
    _say("hops: floor, origin alone, origin and relay")
    return {
        "floor": run_floor(HOP_VIEWERS, 8, options, log),
        "direct": run_server(start_wardcast(log), HOP_VIEWERS, options, log),
        "hops": run_hops(HOP_VIEWERS, options.seconds, log),
    }


def _workers(log: IO[bytes]) -> dict[int, list[dict[str, Any]]]:
    found = {}
    for workers in (1, 2):
        _say(f"workers: {workers}")
        found[workers] = run_workers(workers, log)
    return found


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{os.cpu_count()} × {line.partition(':')[2].strip()}"
    return f"{os.cpu_count()} cores"


def collect(options: argparse.Namespace, log: IO[bytes]) -> dict[str, Any]:
    begun_s = time.monotonic()
    wanted = (options.only,) if options.only else ("floor", "janus", "wardcast")
    results: dict[str, Any] = {"floor": [], "runs": []}
    if "floor" in wanted:
        results["floor"] = _floors(options, log)
    if "janus" in wanted and not installed():
        _say("Janus is not installed (Debian package janus): no comparison with it")
    elif "janus" in wanted:
        results["runs"] += _runs("janus", options, log)
    if "wardcast" in wanted:
        results["runs"] += _runs("wardcast", options, log)
    if options.only in (None, "hops"):
        results["hops"] = _hops(options, log)
    if options.only in (None, "workers"):
        results["workers"] = _workers(log)
    results["conditions"] = {
        "cpu": _cpu_name(),
        "seconds": options.seconds,
        "gro": options.gro,
        "took_s": time.monotonic() - begun_s,
    }
    return results


def main() -> None:
    options = _options()
    if (os.cpu_count() or 1) < 2:
        _say("One core only: the load shares it with the server, the figures mean little")
    # As an exception, so that every child is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cpu.pin(LOAD_CORE)
    with open(options.log or os.devnull, "wb") as log:
        results = collect(options, log)
    text = json.dumps(results, indent=1) + "\n" if options.json else markdown(results)
    if "hops" in results and not options.json:
        text += "\n" + hops_markdown(**results["hops"])
    if "workers" in results and not options.json:
        text += "\n" + workers_markdown(results["workers"])
    sys.stdout.write(text)
    expected = len(options.viewers) if options.only != "floor" else 0
    if options.only in (None, "wardcast") and expected:
        ours = [run for run in results["runs"] if run["server"] == "wardcast"]
        sys.exit(0 if len(ours) == expected else 1)


if __name__ == "__main__":
    main()
