"""CPU time and memory of a process and its children, with the nanoseconds of the scheduler."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

_CPUCLOCK_SCHED = 2


def process_cpu_ns(pid: int) -> int:
    """CPU time of all threads of `pid`, also those that ended (clock_getcpuclockid)."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return [pid]
    return [pid, *(child.pid for child in children)]


def tree_cpu_ns(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += process_cpu_ns(pid)
        except OSError:
            continue  # a child that ended between two samples
    return total


def tree_wait_ns(pids: list[int]) -> int:
    """Time that living threads were ready to run but had no core (second field of schedstat)."""
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[1])
            except (OSError, IndexError):
                continue
    return total


def tree_rss_bytes(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


def core_busy_s(core: int) -> float:
    """Seconds that a core has been busy since boot, whoever used it (10 ms resolution)."""
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == f"cpu{core}":
            values = [int(word) for word in words[1:]]
            idle = values[3] + values[4]
            return (sum(values) - idle) / os.sysconf("SC_CLK_TCK")
    return 0.0


def pin(core: int) -> None:
    """Keep this process on one core, where the machine has it."""
    if core in os.sched_getaffinity(0) or core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})
