"""Who was here and when: a log of joins and leaves, one JSON object a line, kept from the start.

Lines: {"at", "event": "start" | "join" | "leave" | "alive", "commune", "session", "stream"}; `at`
is in seconds since the epoch. A hub that died leaves joins without leaves: these end at the last
line before the next "start", which "alive" lines keep within a minute of the truth.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE_NAME = "attendance.jsonl"
MERGE_S = 60.0
"""A commune that comes back within this time was never away."""
MAX_PENDING = 10_000

Line = dict[str, Any]


class AttendanceLog:
    """Appends to the log; lines wait in memory, for the disk may be slow and the media may not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost_lines = 0
        self._pending: list[str] = []

    @property
    def pending(self) -> int:
        """Lines not on the disk yet."""
        return len(self._pending)

    def add(self, at: float, event: str, **fields: str) -> None:
        """Note a line. While the disk fails, the newest MAX_PENDING wait."""
        self._pending.append(json.dumps({"at": round(at, 3), "event": event, **fields}))
        if len(self._pending) > MAX_PENDING:
            del self._pending[0]
            self.lost_lines += 1

    def take(self) -> list[str]:
        """The lines that wait, to be given to `write` and, if that fails, to `restore`."""
        lines, self._pending = self._pending, []
        return lines

    def restore(self, lines: list[str]) -> None:
        """Put back what could not be written, before what has come since."""
        kept = (lines + self._pending)[-MAX_PENDING:]
        self.lost_lines += len(lines) + len(self._pending) - len(kept)
        self._pending = kept

    def write(self, lines: Sequence[str]) -> None:
        """Write lines and see them on the disk; may take its time. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        with os.fdopen(descriptor, "r+b") as file:
            # A torn last line (power cut) must not swallow the next one.
            torn = file.seek(0, os.SEEK_END) > 0 and _last_byte(descriptor) != b"\n"
            text = ("\n" if torn else "") + "\n".join(lines) + "\n"
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)


def _last_byte(descriptor: int) -> bytes:
    return os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1)


@dataclass
class Interval:
    """Presence of a commune, seconds since the epoch. left_at None: still here."""

    joined_at: float
    left_at: float | None


@dataclass
class Presence:
    """One commune's attendance. reconnects: comings back within a minute, merged away."""

    commune: str
    intervals: list[Interval] = field(default_factory=list)
    reconnects: int = 0

    def seconds(self, now: float) -> float:
        """Time present until `now`."""
        return sum(
            (i.left_at if i.left_at is not None else now) - i.joined_at for i in self.intervals
        )


def read_lines(path: Path) -> Iterator[Line]:
    """The log's lines in order; one that is torn or not ours is passed over."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and isinstance(line.get("at"), int | float):
                yield line


def presences(lines: Iterable[Mapping[str, Any]]) -> dict[str, Presence]:
    """Merged presence of each commune in the log."""
    return {slug: _merge(slug, raw) for slug, raw in _raw_intervals(lines).items()}


def _raw_intervals(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Interval]]:
    raw: dict[str, list[Interval]] = {}
    here: dict[str, Interval] = {}
    last_at = 0.0
    for line in lines:
        event, at = line.get("event"), float(line["at"])
        if event == "start":
            for interval in here.values():
                interval.left_at = max(interval.joined_at, last_at)
            here.clear()
        elif event == "join" and "commune" in line and str(line.get("session")) not in here:
            # A line may stand twice: it was written, but the disk said that it was not.
            interval = Interval(at, None)
            raw.setdefault(str(line["commune"]), []).append(interval)
            here[str(line.get("session"))] = interval
        elif event == "leave":
            left = here.pop(str(line.get("session")), None)
            if left is not None:
                left.left_at = max(left.joined_at, at)
        last_at = at
    return raw


def _merge(slug: str, raw: list[Interval]) -> Presence:
    presence = Presence(slug)
    for interval in sorted(raw, key=lambda i: i.joined_at):
        before = presence.intervals[-1] if presence.intervals else None
        if before is not None and before.left_at is None:
            continue
        if before is None or interval.joined_at - (before.left_at or 0.0) > MERGE_S:
            presence.intervals.append(Interval(interval.joined_at, interval.left_at))
            continue
        presence.reconnects += interval.joined_at > (before.left_at or 0.0)
        ends = interval.left_at
        before.left_at = None if ends is None else max(ends, before.left_at or 0.0)
    return presence
