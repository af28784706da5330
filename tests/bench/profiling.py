"""Where the server's time goes: py-spy for Python lines, perf for native symbols, if installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

_TOP = 30
_FOLDERS = re.compile(r"\(.*/")


def sample(pid: int, seconds: float) -> str:
    """Watch a running process for a while; returns text for people."""
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as name:
        folder = Path(name)
        watchers = _start(pid, seconds, folder)
        if not watchers:
            return "No sampling profiler: install py-spy (PyPI) or perf (Debian linux-perf).\n"
        for watcher in watchers.values():
            watcher.wait()
        parts = []
        if "py-spy" in watchers:
            parts.append(_python_lines(folder / "stacks.txt"))
        if "perf" in watchers:
            parts.append(_native_symbols(folder / "perf.data"))
        return "\n".join(parts)


def _start(pid: int, seconds: float, folder: Path) -> dict[str, subprocess.Popen[bytes]]:
    watchers = {}
    if tool := shutil.which("py-spy"):
        stacks = str(folder / "stacks.txt")
        command = [tool, "record", "--pid", str(pid), "--rate", "250", "--nonblocking"]
        command += ["--format", "raw", "--duration", f"{seconds:.0f}", "--output", stacks]
        watchers["py-spy"] = _quietly(command)
    if tool := shutil.which("perf"):
        data = str(folder / "perf.data")
        command = [tool, "record", "-e", "cpu-clock", "-F", "997", "-p", str(pid), "-o", data]
        watchers["perf"] = _quietly([*command, "--", "sleep", f"{seconds:.1f}"])
    return watchers


def _quietly(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _python_lines(stacks: Path) -> str:
    """Own time by function, from "a;b;c count" lines."""
    if not stacks.exists():
        return "py-spy could not attach.\n"
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_FOLDERS.sub("(", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    total = max(sum(own.values()), 1)
    text = ["Python, share of samples in the line itself:"]
    text += [f"{count / total:7.1%}  {frame}" for frame, count in own.most_common(_TOP)]
    text += ["", "Python, share of samples in the line and below:"]
    text += [f"{count / total:7.1%}  {frame}" for frame, count in inclusive.most_common(_TOP)]
    return "\n".join(text) + "\n"


def _native_symbols(data: Path) -> str:
    command = ["perf", "report", "-i", str(data), "--stdio", "--no-children"]
    command += ["--sort", "dso,symbol", "--percent-limit", "0.7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
    if not lines:
        return f"perf saw nothing: {done.stderr.strip()[:300]}\n"
    return "\n".join(["Native, share of samples:", *lines[: 2 * _TOP]]) + "\n"
