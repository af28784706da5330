"""The loop that gets a session up: every place in turn without a pause, then wait, then again.

A place that does not answer soon is not given up, the next one is asked beside it and the first
session that comes up is taken: after a failure all viewers come at once, and a request broken off
because its server is busy would only have to be made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from relay.client.backoff import Backoff
from relay.client.errors import ClientError

PlaceT = TypeVar("PlaceT")
SessionT = TypeVar("SessionT")


class Connector(Generic[PlaceT, SessionT]):
    """attempt: a session at a place; it sets the event when the place has answered, or at once if
    no other is to be asked beside it. patience_s: until then. discard: a session too many."""

    def __init__(
        self,
        attempt: Callable[[PlaceT, asyncio.Event], Coroutine[Any, Any, SessionT]],
        *,
        patience_s: Callable[[PlaceT], float],
        discard: Callable[[SessionT], None],
        backoff: Backoff,
        on_wait: Callable[[ClientError, float], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._attempt = attempt
        self._patience_s = patience_s
        self._discard = discard
        self._backoff = backoff
        self._on_wait = on_wait
        self._sleep = sleep

    async def connect(self, places: Callable[[int], Sequence[PlaceT]]) -> SessionT:
        """The first session that comes up.

        places: a round, at least one place, given the number of rounds in vain. Raises the
        ClientError of an attempt that no retry can mend.
        """
        while True:
            found = _Round(self._attempt, self._patience_s, self._discard)
            session = await found.run(places(self._backoff.attempt))
            if session is not None:
                return session
            delay_s = self._backoff.failed(asked_to_wait_s(found.errors))
            self._on_wait(found.errors[0], delay_s)
            await self._sleep(delay_s)


class _Round(Generic[PlaceT, SessionT]):
    """Each place once. errors: in the order in which places failed."""

    def __init__(
        self,
        attempt: Callable[[PlaceT, asyncio.Event], Coroutine[Any, Any, SessionT]],
        patience_s: Callable[[PlaceT], float],
        discard: Callable[[SessionT], None],
    ) -> None:
        self._attempt = attempt
        self._patience_s = patience_s
        self._discard = discard
        self._running: set[asyncio.Task[SessionT]] = set()
        self._found: SessionT | None = None
        self.errors: list[ClientError] = []

    async def run(self, places: Sequence[PlaceT]) -> SessionT | None:
        """None if no place had a session. Raises what is no ClientError, or is final."""
        try:
            try:
                await self._ask_all(places)
            finally:
                await self._stop()
        except BaseException:
            if self._found is not None:
                self._discard(self._found)
            raise
        return self._found

    async def _ask_all(self, places: Sequence[PlaceT]) -> None:
        for place in places:
            await self._ask(place)
            if self._found is not None:
                return
        while self._running and self._found is None:
            await self._wait(set(), None)

    async def _ask(self, place: PlaceT) -> None:
        """Until it fails or is too slow to answer, or any place has a session."""
        answered = asyncio.Event()
        task = asyncio.create_task(self._attempt(place, answered))
        self._running.add(task)
        hearing: asyncio.Task[object] = asyncio.create_task(answered.wait())
        try:
            await self._wait({hearing}, self._patience_s(place))
            while answered.is_set() and task in self._running and self._found is None:
                await self._wait(set(), None)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _wait(self, others: set[asyncio.Task[object]], timeout_s: float | None) -> None:
        done, _ = await asyncio.wait(
            {*self._running, *others}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in tuple(self._running):
            if task in done:
                self._running.discard(task)
                self._take(task)

    def _take(self, task: asyncio.Task[SessionT]) -> None:
        try:
            session = task.result()
        except ClientError as error:
            if not error.retryable:
                raise
            self.errors.append(error)
            return
        if self._found is None:
            self._found = session
        else:
            self._discard(session)

    async def _stop(self) -> None:
        for task in self._running:
            task.cancel()
        for result in await asyncio.gather(*self._running, return_exceptions=True):
            if not isinstance(result, BaseException):
                self._discard(result)
        self._running.clear()


def asked_to_wait_s(errors: Sequence[ClientError]) -> float | None:
    """The shortest Retry-After of a round; None if a place has not asked for any."""
    asked = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return min(asked) if asked and len(asked) == len(errors) else None
