"""Telemetry over a fake node: joins, leaves, grades, the board."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hub.telemetry.attendance import read_lines
from hub.telemetry.browser_report import BrowserReport
from hub.telemetry.telemetry import Telemetry
from tests.unit.hub_fakes import ROSTER, FakeClock, FakeNode, publisher, source, stream, viewer


class Watched:
    """Telemetry, its node and its clock."""

    def __init__(self, data_dir: Path) -> None:
        self.node, self.clock = FakeNode(), FakeClock()
        self.telemetry = Telemetry(
            self.node, ROSTER, data_dir, wall=self.clock.wall, clock=self.clock.monotonic
        )

    def poll(self, seconds: float = 1.0) -> None:
        self.clock.now_s += seconds
        self.telemetry.poll()

    def commune(self, slug: str = "an-phu") -> dict[str, Any]:
        rows = self.telemetry.overview()["communes"]
        return next(row for row in rows if row["slug"] == slug)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def _report(session_id: str, **figures: float | str) -> BrowserReport:
    return BrowserReport.model_validate({"session_id": session_id, "state": "playing", **figures})


def test_everybody_is_absent_at_first(watched: Watched) -> None:
    watched.poll()
    overview = watched.telemetry.overview()
    assert [row["grade"] for row in overview["communes"]] == ["absent", "absent"]
    assert overview["totals"] == {
        "connected": 0, "good": 0, "fair": 0, "bad": 0, "lost": 0, "absent": 2,
    }  # fmt: skip


def test_join_leave_and_return(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    row = watched.commune()
    assert (row["grade"], row["connected"], row["sessions"][0]["id"]) == ("good", True, "v1")
    assert row["sessions"][0]["joined_at"] == 1_000_001
    watched.node.show_viewers()
    watched.poll()
    assert (watched.commune()["grade"], watched.commune()["sessions"]) == ("lost", [])
    watched.node.show_viewers(viewer("v2", "an-phu"))
    watched.poll()
    assert watched.commune()["grade"] == "good"


def test_a_viewer_that_is_still_coming_up_is_not_here(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu", connected=False))
    watched.poll()
    assert watched.commune()["grade"] == "absent"


def test_loss_is_the_mean_of_ten_seconds(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu", video_loss_ratio=0.08))
    watched.poll()
    assert watched.commune()["grade"] == "bad"
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    assert watched.commune()["sessions"][0]["loss_ratio"] == 0.04
    assert watched.commune()["grade_reason"] == "Mất gói 4 %: đường truyền của xã"
    for _ in range(10):
        watched.poll()
    assert watched.commune()["grade"] == "good"


def test_freezes_with_a_lossy_uplink_are_the_wards(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    assert watched.telemetry.take_report(_report("v1", freezeCount=0), "an-phu", "Firefox")
    watched.node.shown = stream(
        (viewer("v1", "an-phu"),), (publisher(source("video", packets=1900, lost=100)),)
    )
    watched.poll()
    report = _report("v1", freezeCount=4, totalFreezesDuration=3.5, framesPerSecond=28)
    watched.telemetry.take_report(report, "an-phu", "Firefox")
    watched.poll()
    row = watched.commune()
    assert row["grade"] == "bad"
    assert row["grade_reason"] == "Mất gói 10 %: đường lên của phường phát"
    session = row["sessions"][0]
    assert (session["freeze_count"], session["freeze_seconds"], session["fps"]) == (4, 3.5, 28)
    assert session["user_agent"] == "Firefox"


def test_why_a_line_is_bad_is_told(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    for concealed in (0, 2400):
        report = _report(
            "v1",
            line="audio-only",
            transport="relay",
            availableIncomingBitrate=61_300,
            concealedSamples=concealed,
            totalSamplesReceived=48_000 + 20 * concealed,
        )
        watched.telemetry.take_report(report, "an-phu", "")
        watched.poll()
    session = watched.commune()["sessions"][0]
    told = ("page_line", "page_transport", "page_available_bps", "concealed_ratio")
    assert [session[key] for key in told] == ["audio-only", "relay", 61_000, 0.05]


def test_a_publisher_that_broke_off_is_blamed_for_half_a_minute(watched: Watched) -> None:
    shown = (viewer("v1", "an-phu"),)
    watched.node.shown = stream(shown, (publisher(),))
    watched.poll()
    watched.telemetry.take_report(_report("v1", freezeCount=0), "an-phu", "")
    watched.node.shown = stream(shown, (), state="silent")
    watched.poll()
    assert watched.commune()["grade_cause"] == "waiting"
    watched.node.shown = stream(shown, (publisher(),), changes=2)
    watched.poll()
    watched.telemetry.take_report(_report("v1", freezeCount=1), "an-phu", "")
    watched.poll()
    assert watched.commune()["grade_cause"] == "source"


def test_a_report_that_is_old_says_nothing(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    watched.telemetry.take_report(_report("v1", framesPerSecond=1), "an-phu", "")
    watched.poll()
    assert watched.commune()["grade"] == "bad"
    watched.poll(16)
    assert (watched.commune()["grade"], watched.commune()["sessions"][0]["fps"]) == ("good", None)


def test_reports_for_a_session_of_somebody_else(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    watched.poll()
    assert not watched.telemetry.take_report(_report("v1"), "thanh-dong", "")
    assert not watched.telemetry.take_report(_report("v9"), "an-phu", "")
    assert watched.telemetry.reports["unknown_session"] == 2


def test_only_what_changed_is_new_on_the_board(watched: Watched) -> None:
    watched.poll()
    board, keys = watched.telemetry.board, watched.telemetry.commune_keys()
    version = board.version
    watched.poll()
    assert board.version == version
    watched.node.show_viewers(viewer("v1", "thanh-dong"))
    watched.poll()
    assert [key for key, _ in board.since(version, keys)] == ["commune:thanh-dong"]


async def test_run_keeps_attendance_and_ends_it(watched: Watched) -> None:
    watched.node.show_viewers(viewer("v1", "an-phu"))
    path = watched.telemetry.attendance.path
    task = asyncio.create_task(watched.telemetry.run())
    async with asyncio.timeout(5):
        while "alive" not in {line["event"] for line in read_lines(path)}:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watched.telemetry.board.closed
    lines = list(read_lines(watched.telemetry.attendance.path))
    assert [line["event"] for line in lines] == ["start", "join", "alive", "leave"]
    assert lines[1]["commune"] == "an-phu"
