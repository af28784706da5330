"""The viewer that keeps watching, with a fake session and a fake clock."""

from __future__ import annotations

import asyncio

import pytest

from relay.client.backoff import Backoff
from relay.client.errors import NotNowError, UnauthorizedError
from relay.client.watcher import SILENCE_MS, Watcher
from relay.core.negotiation import CodecParameters, MediaNegotiation, PublisherNegotiation
from relay.core.rtcp import Nack, ReceiverReport, parse_compound
from relay.core.rtp import build_rtp

NEGOTIATION = PublisherNegotiation(
    (MediaNegotiation(0, "0", "video", (CodecParameters(96, "H264", 90000, rtx_payload_type=97),)),)
)


class FakeSession:
    negotiation = NEGOTIATION
    rtt_ms = 12.3

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[bytes] = []
        self.closed = asyncio.Event()
        self.live = asyncio.Event()

    async def connect(self) -> None:
        self.live.set()
        if self.error:
            raise self.error

    async def close(self) -> None:
        self.closed.set()

    def send_rtcp(self, packet: bytes) -> None:
        self.sent.append(packet)


def rtp(seq: int, *, pt: int = 96, ssrc: int = 5, payload: bytes = b"x" * 50) -> bytes:
    return build_rtp(
        payload_type=pt, seq=seq, timestamp=seq * 3000, ssrc=ssrc, payload=payload, marker=True
    )


def watcher_of(*sessions: FakeSession) -> Watcher:
    left = list(sessions)

    async def open_session(watcher: Watcher) -> FakeSession:
        watcher.begin(NEGOTIATION)
        return left.pop(0)

    return Watcher("an-phu", open_session, backoff=Backoff(fraction=lambda: 0.0))


async def started(session: FakeSession) -> None:
    await session.live.wait()
    for _ in range(3):
        await asyncio.sleep(0)


async def test_holes_are_asked_for_and_repairs_are_credited() -> None:
    session = FakeSession()
    watcher = watcher_of(session)
    task = asyncio.create_task(watcher.run())
    await started(session)
    watcher.on_rtp([rtp(1), rtp(2), rtp(4)], 1e9)
    (nack,) = (p for data in session.sent for p in parse_compound(data) if isinstance(p, Nack))
    assert (nack.media_ssrc, nack.seqs) == (5, (3,))
    watcher.on_rtp([rtp(900, pt=97, ssrc=6, payload=b"\x00\x03repair")], 1e9 + 20)
    figures = watcher.measure(1e9 + 30)
    assert (figures.packets, figures.lost, figures.repaired) == (4, 0, 1)
    assert figures.rtt_ms == 12.3
    assert not figures.frozen
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert session.closed.is_set()


async def test_reports_go_out_once_a_second() -> None:
    session = FakeSession()
    watcher = watcher_of(session)
    task = asyncio.create_task(watcher.run())
    await started(session)
    watcher.on_rtp([rtp(1)], 1e9)
    for step in range(8):
        watcher.tick(1e9 + step * 250)
    reports = [parse_compound(data)[0] for data in session.sent]
    assert len(reports) == 2
    assert isinstance(reports[0], ReceiverReport)
    assert reports[0].reports[0].highest_seq == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_silence_leads_to_a_new_session_and_figures_go_on() -> None:
    first, second = FakeSession(), FakeSession()
    watcher = watcher_of(first, second)
    task = asyncio.create_task(watcher.run())
    await started(first)
    watcher.on_rtp([rtp(1), rtp(2)], 1e9)
    watcher.tick(1e9 + SILENCE_MS - 1)
    assert not first.closed.is_set()
    watcher.tick(1e9 + SILENCE_MS + 1)
    await started(second)
    assert first.closed.is_set()
    watcher.on_rtp([rtp(77)], 1e9 + 2000)
    figures = watcher.measure(1e9 + 2001)
    assert (figures.packets, figures.sessions, figures.gaps) == (3, 2, 1)
    assert figures.longest_gap_ms == 2000
    assert figures.lost == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_refusal_for_good_ends_it_and_one_for_now_does_not() -> None:
    sessions = [FakeSession(NotNowError("nothing is on air")), FakeSession(UnauthorizedError("no"))]
    watcher = watcher_of(*sessions)
    with pytest.raises(UnauthorizedError):
        await watcher.run()
    assert watcher.figures.state == "refused"
    assert watcher.figures.error == "no"
    assert all(session.closed.is_set() for session in sessions)
