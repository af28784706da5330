"""The viewer that keeps watching, with fake sessions and a fake clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.client.errors import NotNowError, UnauthorizedError, UnreachableError
from relay.client.liveness import SILENCE_MS
from relay.client.sse import ServerEvent
from relay.core.rtcp import Nack, ReceiverReport, parse_compound
from tests.unit.watch_fakes import HOME, FakeSession, Scene, rtp, settle


@asynccontextmanager
async def watching(scene: Scene) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(scene.watcher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_holes_are_asked_for_and_repairs_are_credited() -> None:
    session = FakeSession()
    scene = Scene(session)
    async with watching(scene):
        await scene.started(session)
        session.bring([rtp(1), rtp(2), rtp(4)], 1100)
        (nack,) = (p for data in session.sent for p in parse_compound(data) if isinstance(p, Nack))
        assert (nack.media_ssrc, nack.seqs) == (5, (3,))
        session.bring([rtp(900, pt=97, ssrc=6, payload=b"\x00\x03repair")], 1120)
        figures = scene.watcher.measure(1130)
        assert (figures.packets, figures.lost, figures.repaired) == (4, 0, 1)
        assert figures.rtt_ms == 12.3
        assert figures.join_ms == 100
        assert not figures.frozen
    assert session.closed.is_set()


async def test_reports_go_out_once_a_second() -> None:
    session = FakeSession()
    scene = Scene(session)
    async with watching(scene):
        await scene.started(session)
        for step in range(8):
            session.bring([rtp(1 + step)], 1000 + step * 250)
            scene.watcher.tick(1000 + step * 250)
        reports = [parse_compound(data)[0] for data in session.sent]
        assert len(reports) == 2
        assert isinstance(reports[0], ReceiverReport)
        assert reports[0].reports[0].highest_seq == 1


async def test_silence_leads_to_a_new_session_at_once_and_figures_go_on() -> None:
    first, second = FakeSession(), FakeSession()
    scene = Scene(first, second)
    async with watching(scene):
        await scene.started(first)
        first.bring([rtp(1), rtp(2)], 5000)
        scene.watcher.judge(5000 + SILENCE_MS)
        await settle()
        assert not first.closed.is_set()
        scene.now_ms = 5000 + SILENCE_MS + 1
        scene.watcher.judge(scene.now_ms)
        await scene.started(second)
        assert first.closed.is_set()
        second.bring([rtp(77)], 5800)
        figures = scene.watcher.measure(5801)
    assert scene.waits == []
    assert (figures.packets, figures.sessions, figures.gaps) == (3, 2, 1)
    assert figures.longest_gap_ms == 800
    assert figures.lost == 0
    (recovery,) = figures.recoveries
    assert (recovery.at_s, recovery.reason, recovery.took_ms) == (4.701, "silent", 800)
    assert second.place is not None
    assert second.place.shun == "http://hub.test"
    assert [visit.origin for visit in figures.places] == ["http://hub.test"] * 2


async def test_media_that_comes_before_the_session_is_said_to_be_up_counts() -> None:
    first, second = FakeSession(hangs=True), FakeSession()
    scene = Scene(first, second)
    async with watching(scene):
        await scene.started(first)
        first.bring([rtp(1)], 1010)
        first.go_on.set()
        await settle()
        scene.watcher.judge(1011 + SILENCE_MS)
        await scene.started(second)


async def test_a_silent_publisher_is_stayed_with() -> None:
    session = FakeSession()
    scene = Scene(session)
    async with watching(scene):
        await scene.started(session)
        session.bring([rtp(1)], 2000)
        assert session.leg is not None
        for now_ms in range(2300, 60_000, 300):
            session.leg.on_sign(now_ms)
            scene.watcher.judge(now_ms)
        await settle()
        assert not session.closed.is_set()
        assert scene.watcher.figures.sessions == 1


async def test_a_closed_peer_and_a_refusing_port_are_lost_at_once() -> None:
    closed, refused, last = FakeSession(), FakeSession(), FakeSession()
    scene = Scene(closed, refused, last)
    async with watching(scene):
        await scene.started(closed)
        closed.bring([rtp(1)], 5000)
        assert closed.leg is not None
        closed.leg.on_lost()
        await scene.started(refused)
        refused.bring([rtp(1)], 5040)
        refused.bring([rtp(2)], 9000)
        assert refused.leg is not None
        refused.leg.on_refused()
        refused.leg.on_refused()
        refused.leg.on_sign(9010)
        for _ in range(3):
            assert not last.live.is_set()
            refused.leg.on_refused()
        await scene.started(last)
        last.bring([rtp(9)], 9100)
        reasons = [(r.reason, r.took_ms) for r in scene.watcher.figures.recoveries]
    assert reasons == [("closed", 40), ("port unreachable", 100)]
    assert scene.waits == []


async def test_sessions_that_never_bring_anything_are_not_asked_for_in_a_storm() -> None:
    sessions = [FakeSession() for _ in range(4)]
    scene = Scene(*sessions)
    async with watching(scene):
        for session in sessions[:3]:
            await scene.started(session)
            assert session.leg is not None
            session.leg.on_lost()
        await scene.started(sessions[3])
    assert scene.waits == [0.25, 0.5, 1.0]


async def test_every_place_is_tried_before_any_waiting() -> None:
    gone = UnreachableError("cannot be reached")
    sessions = [FakeSession(gone), FakeSession(gone), FakeSession(gone), FakeSession(gone)]
    last = FakeSession()
    scene = Scene(*sessions, last, alternatives=("http://a.test", "http://b.test:81/"))
    async with watching(scene):
        await scene.started(last)
        assert scene.watcher.figures.place == "http://a.test"
    urls = [session.place.url for session in [*sessions, last] if session.place is not None]
    others = ["http://a.test/whep/s", "http://b.test:81/whep/s"]
    assert urls == [HOME, *others, HOME, others[0]]
    assert scene.waits == [0.25]
    patience = [s.place.patience_s for s in (sessions[0], sessions[3]) if s.place is not None]
    assert patience == [0.5, 1.0]


async def test_a_refusal_for_good_ends_it_and_one_for_now_does_not() -> None:
    sessions = [FakeSession(NotNowError("nothing is on air")), FakeSession(UnauthorizedError("no"))]
    scene = Scene(*sessions)
    with pytest.raises(UnauthorizedError):
        await scene.watcher.run()
    assert scene.watcher.figures.state == "refused"
    assert scene.watcher.figures.error == "no"
    assert all(session.closed.is_set() for session in sessions)


async def test_only_the_place_that_was_asked_for_refuses_for_good() -> None:
    redirected = FakeSession(UnauthorizedError("used ticket"), origin="http://relay.test")
    other, last = FakeSession(UnauthorizedError("not mine")), FakeSession()
    scene = Scene(redirected, other, last, alternatives=("http://a.test",))
    async with watching(scene):
        await scene.started(last)
        assert scene.watcher.figures.state == "live"


def reconnect(url: str) -> ServerEvent:
    return ServerEvent("reconnect", {"url": url})


async def test_a_move_is_made_before_the_old_session_breaks() -> None:
    old, new = FakeSession(), FakeSession()
    scene = Scene(old, new)
    async with watching(scene):
        await scene.started(old)
        old.bring([rtp(1)], 2000)
        scene.now_ms = 2010
        old.told.put_nowait(reconnect("http://b.test/whep/s?ticket=abc"))
        await scene.started(new)
        assert new.place is not None
        assert new.place.ticket
        old.bring([rtp(2)], 2033)
        assert not old.closed.is_set()
        new.bring([rtp(500, ssrc=9)], 2040)
        await settle()
        assert old.closed.is_set()
        old.bring([rtp(3)], 2066)
        new.bring([rtp(501, ssrc=9)], 2070)
        figures = scene.watcher.measure(2071)
        assert figures.packets == 4, "what the old session brings afterwards is not counted"
        (move,) = figures.moves
        assert (move.at_s, move.took_ms) == (1.01, 33)
        assert not figures.recoveries
        assert figures.place == "http://b.test"


async def test_a_move_that_fails_leaves_the_old_session_alone() -> None:
    old, dead, home = FakeSession(), FakeSession(UnreachableError("gone")), FakeSession()
    scene = Scene(old, dead, home)
    home.error = UnreachableError("gone too")
    async with watching(scene):
        await scene.started(old)
        old.bring([rtp(1)], 2000)
        old.told.put_nowait(reconnect("http://b.test/whep/s"))
        await scene.started(home)
        assert dead.place is not None
        assert not dead.place.ticket
        old.bring([rtp(2)], 2033)
        figures = scene.watcher.measure(2034)
        assert (figures.failed_moves, figures.sessions, figures.state) == (1, 1, "live")
        assert not old.closed.is_set()


async def test_a_session_lost_under_a_move_is_got_over_through_the_usual_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.client.watcher.MOVE_GRACE_S", 0.0)
    old, hanging, home = FakeSession(), FakeSession(hangs=True), FakeSession()
    scene = Scene(old, hanging, home)
    async with watching(scene):
        await scene.started(old)
        old.bring([rtp(1)], 5000)
        old.told.put_nowait(reconnect("http://b.test/whep/s"))
        await scene.started(hanging)
        assert old.leg is not None
        old.leg.on_lost()
        await scene.started(home)
        home.bring([rtp(7)], 5100)
        figures = scene.watcher.figures
        assert [r.took_ms for r in figures.recoveries] == [100]
        assert figures.failed_moves == 1
    assert hanging.closed.is_set()


async def test_broken_events_make_silence_count_sooner() -> None:
    first, second = FakeSession(), FakeSession()
    scene = Scene(first, second)
    async with watching(scene):
        await scene.started(first)
        first.bring([rtp(1)], 5000)
        first.told.put_nowait(ServerEvent("active", {}))
        first.told.put_nowait(None)
        await settle()
        scene.watcher.judge(5350)
        assert first.leg is not None
        assert first.leg.loss is None
        scene.watcher.judge(5351)
        await scene.started(second)
        assert first.closed.is_set()
