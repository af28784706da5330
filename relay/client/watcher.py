"""A viewer without a screen that keeps watching: joins, measures, moves, comes back.

One leg carries the viewer; during a move there are two, and the new one takes over with its first
picture. Every connection begins at the URL that was asked for and goes on to its alternatives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from yarl import URL

from relay.client.backoff import Backoff
from relay.client.errors import ClientError, MediaTimeoutError, UnreachableError
from relay.client.leg import Leg, ViewerSession
from relay.client.liveness import Loss
from relay.client.places import Place, Places, invited
from relay.client.reception import ViewerReception
from relay.client.reconnect import Connector
from relay.client.viewer_figures import ViewerFigures
from relay.client.watch_tally import WatchTally
from relay.core.negotiation import PublisherNegotiation

STEADY_MS = 3000.0
"""A session that brought media for less counts as a failure, but for the first in a row."""
FIRST_PICTURE_S = 2.5
"""A move whose new session shows nothing for so long has failed."""
MOVE_GRACE_S = 0.5
"""What a move has left when the old session is lost under it."""
GOODBYE_S = 1.0

OpenSession = Callable[[Leg, Place], Coroutine[Any, Any, ViewerSession]]


class Watcher:
    """Call `run` as a task, `judge` some sixteen times a second and `tick` a few times.

    open_session: makes a session that feeds the leg; awaited for each attempt. repairs: ask for
    what is missing (NACK). events: follow the node's. on_media: clear packets for a decoder.
    clock: monotonic ms.
    """

    def __init__(
        self,
        name: str,
        open_session: OpenSession,
        places: Places,
        *,
        repairs: bool = True,
        events: bool = True,
        on_media: Callable[[Sequence[bytes], float], None] | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock or _now_ms
        self.tally = WatchTally(name, self._clock())
        self.places = places
        self._open_session = open_session
        self._repairs = repairs
        self._events = events
        self._on_media = on_media
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._connector = Connector(
            self._attempt,
            patience_s=lambda place: place.patience_s,
            discard=self._drop,
            backoff=self._backoff,
            on_wait=self._on_wait,
            sleep=sleep,
        )
        self._main: Leg | None = None
        self._incoming: Leg | None = None
        self._taken_over = asyncio.Event()
        self._short_lived = 0
        self._silent = ""
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def figures(self) -> ViewerFigures:
        """As of the last `measure`."""
        return self.tally.figures

    @property
    def reception(self) -> ViewerReception | None:
        """Of the present session."""
        return None if self._main is None else self._main.reception

    @property
    def negotiation(self) -> PublisherNegotiation | None:
        """Of the present session."""
        return None if self._main is None else self._main.negotiation

    async def run(self) -> None:
        """Watch until cancelled. Raises the ClientError that no retry can mend."""
        try:
            while True:
                leg = await self._join()
                leg = await self._stay(leg)
                await self._after(leg)
        except ClientError as error:
            self.figures.error = error.detail
            self.figures.state = "refused"
            raise
        finally:
            await self._end()

    def judge(self, now_ms: float) -> None:
        """The verdict on silence."""
        for leg in (self._main, self._incoming):
            if leg is not None:
                leg.judge(now_ms)

    def tick(self, now_ms: float) -> None:
        """Reports that are due, and the verdict on silence."""
        self.judge(now_ms)
        for leg in (self._main, self._incoming):
            if leg is not None and leg.live:
                leg.report(now_ms)

    def measure(self, now_ms: float) -> ViewerFigures:
        """Figures up to now; rates are of the last interval between calls."""
        session = None if self._main is None else self._main.session
        rtt_ms = None if session is None else session.rtt_ms
        return self.tally.measure(self.reception, rtt_ms, now_ms)

    def on_leg_media(self, leg: Leg, packets: Sequence[bytes], now_ms: float) -> None:
        """Media of either leg; the first picture of the incoming one makes it the main one."""
        self.tally.on_arrival(now_ms)
        if self._main is None and leg is not self._incoming:
            # Packets may come before `connect` returns, and a decoder wants the first picture.
            self._main = leg
        if leg is self._incoming and leg.shows:
            self._take_over(leg)
        if leg is self._main and packets and self._on_media is not None:
            self._on_media(packets, now_ms)

    # -- joining and staying

    async def _join(self) -> Leg:
        leg = await self._connector.connect(self._round)
        if self._main is not leg and self._main is not None:
            self._drop(self._main)
        self._main = leg
        self._adopted(leg)
        return leg

    def _round(self, failed: int) -> list[Place]:
        self.figures.state = "connecting"
        self.tally.asks(self._clock())
        return self.places.round(failed, first=not self.figures.sessions, silent=self._silent)

    async def _attempt(self, place: Place, answered: asyncio.Event) -> Leg:
        """A connected leg. Raises ClientError."""
        leg = self._new_leg()
        leg.answered = answered
        await self._connect(leg, place)
        return leg

    async def _stay(self, leg: Leg) -> Leg:
        """Until the session is lost; the leg that was in use then."""
        while True:
            await leg.news.wait()
            leg.news.clear()
            if leg.loss is not None:
                return leg
            if leg.move_url is not None:
                url, leg.move_url = leg.move_url, None
                if await self._move(leg, url):
                    assert self._main is not None
                    leg = self._main

    async def _after(self, leg: Leg) -> None:
        """Let a lost session go; wait only if sessions are lost again and again."""
        loss = leg.loss or "lost"
        now_ms = self._clock()
        liveness = leg.liveness
        media_ms = None if liveness is None else liveness.last_media_ms
        self.tally.lost(str(loss), now_ms)
        if leg.session is not None and loss in (Loss.SILENT, Loss.BROKEN, Loss.REFUSED):
            self._silent = leg.session.origin
        self._drop(leg)
        self.figures.state = "connecting"
        self.figures.error = f"the connection was lost: {loss}"
        if liveness is not None and media_ms is not None:
            if media_ms - liveness.live_since_ms >= STEADY_MS:
                self._backoff.succeeded()
                self._short_lived = 0
                return
            self._short_lived += 1
            if self._short_lived == 1:
                return
        delay_s = self._backoff.failed()
        self._on_wait(ClientError(self.figures.error), delay_s)
        await self._sleep(delay_s)

    # -- moving

    async def _move(self, old: Leg, url: str) -> bool:
        """Make before break. False: the old session stays, or is lost meanwhile."""
        self.tally.begin_move(self._clock())
        moving = asyncio.create_task(self._arrive(url))
        losing = asyncio.create_task(old.lost.wait())
        try:
            await asyncio.wait([moving, losing], return_when=asyncio.FIRST_COMPLETED)
            if not moving.done():
                await asyncio.wait([moving], timeout=MOVE_GRACE_S)
        finally:
            for task in (moving, losing):
                task.cancel()
            await asyncio.gather(moving, losing, return_exceptions=True)
        if self._incoming is not None:
            self._drop(self._incoming)
        if self._main is not None and self._main is not old:
            self.tally.end_move("reconnect", self._clock())
            return True
        self.tally.fail_move()
        if old.dropped:
            old.lose(Loss.CLOSED)
        return False

    async def _arrive(self, url: str) -> None:
        """Connect to the invited place, else to the usual ones, until one shows its picture."""
        places = self.places.round(0)
        if url:
            with suppress(ValueError):
                places.insert(0, invited(url))
        for place in places:
            self._taken_over.clear()
            self._incoming = leg = self._new_leg()
            try:
                await self._connect(leg, place)
                async with asyncio.timeout(FIRST_PICTURE_S):
                    await self._taken_over.wait()
            except (ClientError, TimeoutError):
                self._drop(leg)
                continue
            self._adopted(leg)
            return

    def _take_over(self, leg: Leg) -> None:
        """The new session shows its picture: the old one's figures are settled."""
        if self._main is not None:
            self._drop(self._main)
        self._main, self._incoming = leg, None
        self._taken_over.set()

    # -- sessions

    def _new_leg(self) -> Leg:
        return Leg(self, repairs=self._repairs)

    async def _connect(self, leg: Leg, place: Place) -> None:
        """POST, checks, DTLS. Raises ClientError; the leg is dropped then."""
        try:
            leg.session = session = await self._open_session(leg, place)
            async with asyncio.timeout(place.limit_s):
                await session.connect()
        except TimeoutError:
            self._drop(leg)
            raise MediaTimeoutError("no media path comes up in time") from None
        except OSError as error:
            self._drop(leg)
            raise UnreachableError(f"no socket can be had: {error.strerror}") from error
        except ClientError as error:
            asked = leg.session.origin if leg.session is not None else ""
            elsewhere = asked not in ("", str(URL(place.url).origin()))
            self._drop(leg)
            if not error.retryable and (elsewhere or not place.home):
                # Only the one that was asked for can refuse for good.
                raise _for_now(error) from error
            raise
        except BaseException:
            self._drop(leg)
            raise
        leg.connected(session, self._clock())

    def _adopted(self, leg: Leg) -> None:
        assert leg.session is not None
        self._silent = ""
        self.tally.arrived(leg.session.origin, self._clock())
        if self._events:
            self._chore(leg.follow_events(), leg)

    def _drop(self, leg: Leg) -> None:
        """Take its figures, and say goodbye behind its back: a dead node does not answer."""
        leg.dropped = True
        if leg is self._main:
            self.tally.settle(leg.reception)
            self._main = None
        if leg is self._incoming:
            self._incoming = None
        session, leg.session = leg.session, None
        for task in tuple(self._chores):
            if task.get_name() == f"leg-{id(leg)}":
                task.cancel()
        if session is not None:
            self._chore(_goodbye(session))

    def _chore(self, work: Coroutine[Any, Any, None], leg: Leg | None = None) -> None:
        task = asyncio.create_task(work)
        if leg is not None:
            task.set_name(f"leg-{id(leg)}")
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def _end(self) -> None:
        for leg in (self._main, self._incoming):
            if leg is not None:
                self._drop(leg)
        if self._chores:
            _, late = await asyncio.wait(self._chores, timeout=GOODBYE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _on_wait(self, error: ClientError, delay_s: float) -> None:
        self._silent = ""
        self.figures.state = "waiting"
        self.figures.error = error.detail


async def _goodbye(session: ViewerSession) -> None:
    # The server expires what it cannot be told about.
    with suppress(ClientError):
        await session.close()


def _for_now(error: ClientError) -> ClientError:
    return ClientError(error.detail, status=error.status, retry_after_s=error.retry_after_s)


def _now_ms() -> float:
    return time.monotonic() * 1000
