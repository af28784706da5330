"""Runs a feed's lanes in threads and hands their units to the event loop.

Drawing and encoding take milliseconds; in the loop they would hold up the voice and the sockets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from hub.source.units import EncodedUnit, Feed

MAX_QUEUED_UNITS = 256
"""Bound on units that wait for the loop: more than two seconds of audio and video."""


class MonotonicClock:
    """FeedClock on the system's monotonic clock; `stop` wakes all who wait."""

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._stopped = threading.Event()

    def now_s(self) -> float:
        return time.monotonic() - self._origin

    def wait_until(self, media_s: float) -> bool:
        return not self._stopped.wait(max(0.0, media_s - self.now_s()))

    def stop(self) -> None:
        self._stopped.set()


class FeedRunner:
    """`async with FeedRunner(feed) as runner: unit = await runner.next()`.

    A lane that fails ends the run: `next` raises its exception. When all lanes have ended, `next`
    returns None.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.clock = MonotonicClock()
        self.dropped = 0
        self._queue: asyncio.Queue[EncodedUnit | BaseException | None] = asyncio.Queue()
        self._threads: list[threading.Thread] = []
        self._live = 0

    async def __aenter__(self) -> FeedRunner:
        loop = asyncio.get_running_loop()
        for lane in self.feed.lanes(self.clock):
            thread = threading.Thread(target=self._run, args=(lane, loop), daemon=True)
            self._threads.append(thread)
        self._live = len(self._threads)
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clock.stop()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, 5.0)

    async def next(self) -> EncodedUnit | None:
        """The next unit when it is due."""
        while self._live:
            item = await self._queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is not None:
                return item
            self._live -= 1
        return None

    def _run(self, lane: Iterator[EncodedUnit], loop: asyncio.AbstractEventLoop) -> None:
        end: BaseException | None = None
        try:
            for unit in lane:
                if not self._hand_over(loop, unit):
                    return
        except Exception as error:
            end = error
        self._hand_over(loop, end)

    def _hand_over(
        self, loop: asyncio.AbstractEventLoop, item: EncodedUnit | BaseException | None
    ) -> bool:
        try:
            loop.call_soon_threadsafe(self._put, item)
        except RuntimeError:  # the loop is closed: nobody is left to hear
            return False
        return True

    def _put(self, item: EncodedUnit | BaseException | None) -> None:
        if isinstance(item, EncodedUnit) and self._queue.qsize() >= MAX_QUEUED_UNITS:
            self.dropped += 1
            self.feed.request_keyframe()
            return
        self._queue.put_nowait(item)
