"""A relay tier of real processes, crowds that watch it, and ways to hurt it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0
WARDCAST = (sys.executable, "-m", "hub.cli.main")


@dataclass
class Tier:
    """A running demo. document: its line of JSON, pids as they were at the start."""

    process: subprocess.Popen[str]
    document: dict[str, Any]
    tokens_file: Path
    cut: list[list[str]] = field(default_factory=list)

    def relays(self) -> dict[str, dict[str, Any]]:
        """The operator's rows by id, relays and origins."""
        base = self.document["whep_url"].partition("/whep/")[0]
        request = urllib.request.Request(
            f"{base}/api/operator/relays",
            headers={"Authorization": f"Bearer {self.document['operate_token']}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            rows: list[dict[str, Any]] = json.load(answer)["relays"]
        return {row["id"]: row for row in rows}

    def pid(self, name: str) -> int:
        """Of hub, source, origin or a relay, as it is now."""
        if name in ("origin", *(r["id"] for r in self.document["relays"])):
            return int(self.relays()[name]["pid"])
        return int(self.document[f"{name}_pid"])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid(name), number)

    def until_ready(self, timeout_s: float = 30.0) -> None:
        """Until the hub and all relays serve."""

        def ready() -> bool:
            rows = self.relays()
            live = [r for r in rows.values() if r["role"] == "relay" and r["upstream"] == "live"]
            names = [r["id"] for r in live if r["state"] == "ready"]
            return len(names) == len(self.document["relays"])

        until(ready, timeout_s)

    def watch(self, *, viewers: int = 63, ramp: float = 2.0, duration: float) -> Crowd:
        """Viewers that stay for `duration` seconds, one of each commune."""
        command = [*WARDCAST, "watch", self.document["whep_url"], "--json"]
        command += ["--tokens-file", str(self.tokens_file), "--viewers", str(viewers)]
        command += ["--ramp", str(ramp), "--duration", str(duration)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return Crowd(process, viewers)

    @contextlib.contextmanager
    def cut_off(self, relay: str) -> Iterator[None]:
        """A firewall drops all that viewers and hub send to a relay and what it sends from its
        ports: no FIN, no ICMP. Its own link to the hub stands."""
        row = self.relays()[relay]
        http = int(row["base_url"].rpartition(":")[2])
        media = media_port(int(row["pid"]))
        rules = [
            ["INPUT", "-p", protocol, side, str(port), "-j", "DROP"]
            for protocol, port in (("tcp", http), ("udp", media))
            for side in ("--dport", "--sport")
        ]
        try:
            for rule in rules:
                iptables("-I", rule)
            yield
        finally:
            for rule in rules:
                iptables("-D", rule)


class Crowd:
    """A `wardcast watch` that runs. Its lines are read as they come: a full pipe would stop it."""

    def __init__(self, process: subprocess.Popen[str], viewers: int) -> None:
        self.process = process
        self.viewers = viewers
        self.last: dict[str, Any] = {}
        self._all_watch = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until_all_watch(self, timeout_s: float = 30.0) -> None:
        """Until every viewer has media."""
        assert self._all_watch.wait(timeout_s), f"not everybody is in: {self.last}"

    def result(self, timeout_s: float = 120.0) -> dict[str, Any]:
        """The last line, once it has ended."""
        self._reader.join(timeout_s)
        self.process.wait(10)
        assert self.last.get("final"), self.last
        return self.last

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.last = json.loads(line)
                if self.last["connected"] >= self.viewers:
                    self._all_watch.set()


@contextlib.contextmanager
def tier(tmp_path: Path, *arguments: str, relays: int = 3) -> Iterator[Tier]:
    """Bring up a demo and end it."""
    command = [*WARDCAST, "demo", "--json", "--http-port", "0", "--media-port", "0"]
    log = tmp_path / "demo.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--relays", str(relays), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()[-3000:]
        document = json.loads(line)
        tokens = tmp_path / "tokens.json"
        tokens.write_text(json.dumps(document["view_tokens"]))
        yield Tier(process, document, tokens)
    finally:
        process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Ask again and again: other processes do not tell. Errors count as no."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError, KeyError):
            if condition():
                return
        assert time.monotonic() < deadline_s, "it did not come"
        time.sleep(0.1)


def media_port(pid: int) -> int:
    """The UDP port on which a relay serves: the one bound in both families."""
    ports: dict[int, int] = {}
    for connection in psutil.Process(pid).net_connections("udp"):
        if connection.laddr:
            ports[connection.laddr.port] = ports.get(connection.laddr.port, 0) + 1
    return max(ports, key=lambda port: ports[port])


def iptables(verb: str, rule: list[str]) -> None:
    """Needs root, as all tests of this kind."""
    subprocess.run(["iptables", "-w", verb, *rule], check=True)


def recoveries(final: dict[str, Any]) -> list[float]:
    """Milliseconds without media of each loss, over all viewers."""
    return sorted(r["took_ms"] for v in final["per_viewer"] for r in v["recoveries"])


def p95(values: list[float]) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * 0.95))]
