"""The attendance log: durable lines, merged presence."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.telemetry import attendance
from hub.telemetry.attendance import AttendanceLog, Line, presences, read_lines


def _line(at: float, event: str, session: str = "s", commune: str = "an-phu") -> Line:
    return {"at": at, "event": event, "session": session, "commune": commune}


def _intervals(*lines: Line) -> list[tuple[float, float | None]]:
    presence = presences(lines)["an-phu"]
    return [(i.joined_at, i.left_at) for i in presence.intervals]


def test_a_reconnect_within_a_minute_is_no_absence() -> None:
    lines = [_line(0, "join", "a"), _line(100, "leave", "a"), _line(159, "join", "b")]
    presence = presences(lines)["an-phu"]
    assert [(i.joined_at, i.left_at) for i in presence.intervals] == [(0, None)]
    assert presence.reconnects == 1
    assert presence.seconds(200) == 200


def test_a_longer_break_is_one() -> None:
    lines = [_line(0, "join"), _line(100, "leave"), _line(161, "join"), _line(200, "leave")]
    assert _intervals(*lines) == [(0, 100), (161, 200)]


def test_screens_overlap() -> None:
    lines = [
        _line(0, "join", "a"),
        _line(10, "join", "b"),
        _line(20, "leave", "a"),
        _line(500, "leave", "b"),
    ]
    assert _intervals(*lines) == [(0, 500)]
    assert presences(lines)["an-phu"].reconnects == 0


def test_a_hub_that_died_ends_presence_at_its_last_line() -> None:
    lines = [_line(0, "join"), {"at": 60, "event": "alive"}, {"at": 900, "event": "start"}]
    assert _intervals(*lines) == [(0, 60)]


def test_a_line_that_stands_twice_counts_once() -> None:
    assert _intervals(_line(0, "join"), _line(0, "join"), _line(9, "leave")) == [(0, 9)]


def test_write_read_and_a_torn_last_line(tmp_path: Path) -> None:
    log = AttendanceLog(tmp_path / "deep" / "attendance.jsonl")
    log.add(1.0, "join", commune="an-phu", session="a")
    log.write(log.take())
    with log.path.open("a") as file:
        file.write('{"at": 2.0, "event": "le')
    log.add(3.0, "leave", commune="an-phu", session="a")
    log.write(log.take())
    assert [line["event"] for line in read_lines(log.path)] == ["join", "leave"]
    assert log.pending == 0


def test_what_cannot_be_written_waits_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "MAX_PENDING", 3)
    (tmp_path / "file").write_text("in the way")
    log = AttendanceLog(tmp_path / "file" / "attendance.jsonl")
    for at in range(3):
        log.add(at, "alive")
    taken = log.take()
    with pytest.raises(OSError):
        log.write(taken)
    log.add(3, "alive")
    log.restore(taken)
    assert [json.loads(line)["at"] for line in log.take()] == [1, 2, 3]
    assert log.lost_lines == 1


def test_no_log_is_nobody(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none.jsonl")) == []


_events = st.lists(
    st.tuples(
        st.floats(0, 1e4),
        st.sampled_from(["join", "leave", "start", "alive"]),
        st.sampled_from("abc"),
    ),
    max_size=40,
)


@given(_events)
def test_presence_is_ordered_and_apart(events: list[tuple[float, str, str]]) -> None:
    lines = [_line(at, event, session) for at, event, session in sorted(events)]
    for presence in presences(lines).values():
        ends = [(i.joined_at, i.left_at) for i in presence.intervals]
        for (joined, left), (following, _) in itertools.pairwise(ends):
            assert left is not None
            assert joined <= left
            assert following - left > attendance.MERGE_S
        assert presence.seconds(1e4) >= 0
