"""Learns who watches, and how well, by looking at the node once a second.

One task owns everything here: `run` polls, publishes to the board and writes attendance. HTTP
handlers only read, and hand in browsers' reports.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from hub.roster import Commune, Roster
from hub.state.line_checks import LineCheckBook
from hub.state.quality import SourceFigures, Verdict, grade_commune, grade_viewer
from hub.telemetry.attendance import FILE_NAME, AttendanceLog, Presence, presences, read_lines
from hub.telemetry.board import Board
from hub.telemetry.browser_report import BrowserReport
from hub.telemetry.sessions import SessionRecord
from hub.telemetry.source_watch import SourceWatch
from hub.telemetry.views import Json, commune_view, session_view, stream_view, totals_view
from relay.node.snapshot import NodeSnapshot, ViewerSnapshot

POLL_S = 1.0
ALIVE_S = 60.0
PIECE = 24
"""Viewers looked at before media has its turn again."""
LOG_ID_CHARS = 12

log = logging.getLogger(__name__)


class SnapshotNode(Protocol):
    """The part of a media node that telemetry looks at."""

    def snapshot(self) -> NodeSnapshot: ...


class Telemetry:
    """titles: (Vietnamese, English) by stream. relay_rows: what is seen of the relays.
    wall: seconds since the epoch; clock: monotonic."""

    def __init__(
        self,
        node: SnapshotNode,
        roster: Roster,
        data_dir: Path,
        *,
        titles: dict[str, tuple[str, str]] | None = None,
        relay_rows: Callable[[], list[Json]] = list,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board = Board()
        self.attendance = AttendanceLog(data_dir / FILE_NAME)
        self.line_checks = LineCheckBook(data_dir)
        self.reports: Counter[str] = Counter()
        self.titles = titles or {}
        self.snapshot: NodeSnapshot | None = None
        self.polled_s = float("-inf")
        self._node = node
        self._relay_rows = relay_rows
        self._roster = roster
        self._wall = wall
        self._clock = clock
        self._sessions: dict[str, SessionRecord] = {}
        self._sources: dict[str, SourceWatch] = defaultdict(SourceWatch)
        self._left_at: dict[str, float] = {}
        self._alive_s = float("-inf")
        self.attendance.add(wall(), "start")

    async def run(self) -> None:
        """Poll until cancelled; then note that everybody has left, and end the readers."""
        try:
            while True:
                for _ in self._look():
                    # Media goes between the pieces.
                    await asyncio.sleep(0)
                await self._write_attendance()
                await asyncio.sleep(POLL_S)
        finally:
            self.board.close()
            for record in tuple(self._sessions.values()):
                self._leave(record)
            await self._write_attendance()

    def poll(self) -> None:
        """Look once, at one go: joins, leaves, figures, grades."""
        for _ in self._look():
            pass

    def _look(self) -> Iterator[None]:
        """Looks once in pieces of a millisecond or so; only this changes who is here."""
        now_s = self._clock()
        snapshot = self._node.snapshot()
        self.snapshot, self.polled_s = snapshot, now_s
        viewers = {v.id: v for s in snapshot.streams for v in s.viewers if v.connected}
        for record in tuple(self._sessions.values()):
            if record.id not in viewers:
                self._leave(record)
        for number, viewer in enumerate(viewers.values()):
            self._join(viewer).observe(viewer, now_s)
            if number % PIECE == PIECE - 1:
                yield
        for stream in snapshot.streams:
            self._sources[stream.name].observe(stream, now_s)
        self._note_alive(now_s)
        yield from self._publish(snapshot, now_s)

    def take_report(self, report: BrowserReport, commune: str, user_agent: str) -> bool:
        """A page's figures. False if this commune has no such session (any more)."""
        record = self._sessions.get(report.session_id)
        if record is None or record.commune != commune:
            self.reports["unknown_session"] += 1
            return False
        record.take_report(report, user_agent, self._clock())
        self.reports["taken"] += 1
        return True

    def session(self, session_id: str) -> SessionRecord | None:
        """A viewer that is connected."""
        return self._sessions.get(session_id)

    def age_s(self) -> float:
        """Since the last look."""
        return self._clock() - self.polled_s

    async def presences(self) -> dict[str, Presence]:
        """Attendance of everybody in the log, up to now. Raises OSError."""
        await self._write_attendance()
        return await asyncio.to_thread(lambda: presences(read_lines(self.attendance.path)))

    # -- what readers see

    def overview(self) -> Json:
        """The whole of what an operator sees."""
        communes = [self.board.get(_commune_key(c)) for c in self._roster.viewers]
        stream = self.board.get("stream") or {}
        return {
            "title": stream.get("title", ""),
            "title_en": stream.get("title_en", ""),
            "stream": stream,
            "streams": (self.board.get("streams") or {}).get("streams", []),
            "communes": [c for c in communes if c is not None],
            "relays": (self.board.get("relays") or {}).get("relays", []),
            "totals": self.board.get("totals") or totals_view([]),
        }

    def commune_keys(self) -> list[str]:
        """Names on the board of all communes that watch."""
        return [_commune_key(c) for c in self._roster.viewers]

    # -- inside

    def _join(self, viewer: ViewerSnapshot) -> SessionRecord:
        record = self._sessions.get(viewer.id)
        if record is None:
            record = SessionRecord(viewer.id, viewer.stream, viewer.commune, self._wall())
            self._sessions[viewer.id] = record
            self._note(record, "join")
        return record

    def _leave(self, record: SessionRecord) -> None:
        del self._sessions[record.id]
        self._left_at[record.commune] = self._wall()
        self._note(record, "leave")

    def _note(self, record: SessionRecord, event: str) -> None:
        session = record.id[:LOG_ID_CHARS]
        keys = {"stream": record.stream, "commune": record.commune, "session": session}
        self.attendance.add(self._wall(), event, **keys)
        log.info("viewer %s", "joined" if event == "join" else "left", extra=keys)

    def _note_alive(self, now_s: float) -> None:
        if self._sessions and now_s - self._alive_s >= ALIVE_S:
            self._alive_s = now_s
            self.attendance.add(self._wall(), "alive")

    async def _write_attendance(self) -> None:
        lines = self.attendance.take()
        if not lines:
            return
        try:
            await asyncio.to_thread(self.attendance.write, lines)
        except OSError as error:
            self.attendance.restore(lines)
            log.error("attendance cannot be written: %s", error.strerror)

    def _publish(self, snapshot: NodeSnapshot, now_s: float) -> Iterator[None]:
        streams = []
        for stream in snapshot.streams:
            titles = self.titles.get(stream.name, (stream.name, stream.name))
            uplink_loss = self._sources[stream.name].loss_ratio(now_s)
            streams.append(stream_view(stream, *titles, uplink_loss))
        values: dict[str, Json] = {"streams": {"streams": streams}}
        if streams:
            values["stream"] = streams[0]
        by_commune: dict[str, list[SessionRecord]] = defaultdict(list)
        for record in self._sessions.values():
            by_commune[record.commune].append(record)
        sources = {name: watch.figures(now_s) for name, watch in self._sources.items()}
        communes: dict[str, Json] = {}
        graded = 0
        for commune in self._roster.viewers:
            records = by_commune.get(commune.slug, [])
            communes[_commune_key(commune)] = self._commune(commune, records, sources, now_s)
            graded += len(records) + 1
            if graded >= PIECE:
                graded = 0
                yield
        values.update(communes)
        values["totals"] = totals_view(communes.values())
        values["relays"] = {"relays": self._relay_rows()}
        self.board.publish(values)

    def _commune(
        self,
        commune: Commune,
        records: list[SessionRecord],
        sources: dict[str, SourceFigures],
        now_s: float,
    ) -> Json:
        verdicts: list[Verdict] = []
        sessions: list[Json] = []
        for record in records:
            figures = record.figures(now_s)
            verdict = grade_viewer(figures, sources[record.stream], commune.kind)
            verdicts.append(verdict)
            sessions.append(session_view(record, figures, verdict, now_s))
        left = self._left_at.get(commune.slug)
        left_at = None if left is None else time.strftime("%H:%M:%S", time.localtime(left))
        grade = grade_commune(verdicts, commune.kind, left_at=left_at)
        return commune_view(commune, grade, sessions, self.line_checks.of(commune.slug))


def _commune_key(commune: Commune) -> str:
    return f"commune:{commune.slug}"
