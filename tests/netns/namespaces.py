"""Network namespaces that belong to one process: their names, their sockets, their end.

A name tells the owner: pid and start time, so that what a killed run left behind can be told from
what a living run uses, even when the pid is given out again.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

PREFIX = "wardcast"
FOLDER = Path("/run/netns")
PROGRAMS = ("ip", "iptables-restore", "ip6tables-restore", "tc")
_NAME = re.compile(rf"{PREFIX}-(\d+)-(\d+)-[0-9a-f]+-.+")
_CLONE_NEWNET = 0x40000000
_START_TIME_FIELD = 19
"""Of /proc/<pid>/stat behind the name in parentheses; proc(5) counts it as 22."""


class NamespacesNotAllowed(RuntimeError):
    """This machine or user cannot have network namespaces."""


@functools.cache
def require_namespaces() -> None:
    """Raises NamespacesNotAllowed with a sentence that tells what is missing."""
    if os.geteuid() != 0:
        raise NamespacesNotAllowed("tests of networks need root: run pytest as root")
    name = f"{own_prefix('0')}-probe"
    for argv in (
        *((program, "--version") for program in PROGRAMS if program.endswith("restore")),
        ("tc", "-V"),
        ("ip", "netns", "add", name),
        ("ip", "netns", "exec", name, "true"),
    ):
        try:
            subprocess.run(argv, check=True, capture_output=True)
        except FileNotFoundError:
            raise NamespacesNotAllowed(
                f"tests of networks need {argv[0]}: run deploy/install-test-packages"
            ) from None
        except subprocess.CalledProcessError as error:
            raise NamespacesNotAllowed(
                "tests of networks need network namespaces, which are not permitted here "
                f"({' '.join(argv)}: {error.stderr.decode(errors='replace').strip()})"
            ) from None
    remove([name])


def own_prefix(token: str) -> str:
    """How names of this process begin. token: hex, one a network."""
    pid = os.getpid()
    return f"{PREFIX}-{pid}-{_start_time(pid)}-{token}"


def names() -> list[str]:
    """All namespaces of this machine that have a name."""
    return sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []


def remove_stale() -> list[str]:
    """Remove what dead processes left behind; what it was."""
    stale = [n for n in names() if (m := _NAME.fullmatch(n)) and not _alive(int(m[1]), m[2])]
    remove(stale)
    return stale


def remove(namespaces: list[str]) -> None:
    """Kill everything inside and remove them. Blocks for some 10 ms each and cannot be cancelled,
    so that it also works at the end of the process."""
    present = [name for name in namespaces if (FOLDER / name).exists()]
    for name in present:
        for pid in processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for name in present:
        subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)


def remove_link(device: str) -> None:
    """A device of this process's own namespace, and its other end."""
    subprocess.run(("ip", "link", "del", device), check=False, capture_output=True)


def processes(namespace: str) -> list[int]:
    """Pids of the processes inside."""
    argv = ("ip", "netns", "pids", namespace)
    found = subprocess.run(argv, check=False, capture_output=True).stdout
    return [int(pid) for pid in found.split() if int(pid) != os.getpid()]


def socket_in(namespace: str, family: int, kind: int) -> socket.socket:
    """A socket that lives in the namespace while this process stays where it is.

    Raises OSError.
    """
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter(namespace)
            made.append(socket.socket(family, kind))
        except OSError as error:
            made.append(error)

    # A thread of its own: it changes its namespace for good and then ends.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def enter(namespace: str) -> None:
    """Take this thread into a namespace, for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(FOLDER / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(fd)


def _alive(pid: int, start_time: str) -> bool:
    try:
        return _start_time(pid) == start_time
    except OSError:
        return False


def _start_time(pid: int) -> str:
    """Clock ticks since boot. Raises OSError when there is no such process."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[_START_TIME_FIELD]
