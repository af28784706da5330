"""Every place in turn, the next one beside a slow one, and waiting only after a round in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from relay.client.backoff import Backoff
from relay.client.errors import ClientError, UnauthorizedError, UnreachableError
from relay.client.reconnect import Connector
from tests.unit.watch_fakes import settle

NEVER_S = 1e6


class Town:
    """Places by name: a string is a session, an exception a failure, None no answer at all."""

    def __init__(self, patience_s: float = NEVER_S, **places: object) -> None:
        self.places = places
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.discarded: list[str] = []
        self.cancelled: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.answers_at_once = False
        self.on_ask: Callable[[str], None] = lambda name: None
        self.connector = Connector(
            self._attempt,
            patience_s=lambda place: patience_s,
            discard=self.discarded.append,
            backoff=Backoff(fraction=lambda: 1.0),
            on_wait=lambda error, delay_s: None,
            sleep=self._sleep,
        )

    async def connect(self) -> str:
        return await self.connector.connect(lambda failed: list(self.places))

    async def _sleep(self, delay_s: float) -> None:
        self.waits.append(delay_s)
        if len(self.waits) == 3:
            raise asyncio.CancelledError

    async def _attempt(self, place: str, answered: asyncio.Event) -> str:
        self.asked.append(place)
        self.on_ask(place)
        if self.answers_at_once:
            answered.set()
        try:
            if place in self.gates:
                await self.gates[place].wait()
            result = self.places[place]
            if result is None:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(place)
            raise
        if isinstance(result, Exception):
            raise result
        return str(result)


async def test_the_first_place_that_has_a_session_is_taken() -> None:
    town = Town(a=UnreachableError("gone"), b="session", c="another")
    assert await town.connect() == "session"
    assert (town.asked, town.waits, town.discarded) == (["a", "b"], [], [])


async def test_waiting_grows_after_each_round_in_vain() -> None:
    town = Town(a=UnreachableError("gone"), b=ClientError("busy", retry_after_s=9))
    with pytest.raises(asyncio.CancelledError):
        await town.connect()
    assert (town.asked, town.waits) == (["a", "b"] * 3, [0.5, 1.0, 2.0])


async def test_the_next_place_is_asked_beside_one_that_does_not_answer() -> None:
    town = Town(patience_s=0, a=None, b="session")
    assert await town.connect() == "session"
    assert (town.asked, town.cancelled) == (["a", "b"], ["a"])


async def test_a_slow_place_may_still_be_first() -> None:
    town = Town(patience_s=0, a="slow", b=None)
    town.gates["a"] = asyncio.Event()
    town.on_ask = lambda name: town.gates["a"].set() if name == "b" else None
    assert await town.connect() == "slow"
    assert town.cancelled == ["b"]


async def test_beside_a_place_that_has_answered_no_other_is_asked() -> None:
    town = Town(patience_s=0, a="session", b="another")
    town.answers_at_once = True
    town.gates["a"] = asyncio.Event()
    connecting = asyncio.create_task(town.connect())
    await settle()
    town.gates["a"].set()
    assert await connecting == "session"
    assert town.asked == ["a"]


async def test_two_sessions_at_once_are_one_too_many() -> None:
    town = Town(patience_s=0, a="one", b="two")
    town.gates["a"] = town.gates["b"] = both = asyncio.Event()
    town.on_ask = lambda name: both.set() if name == "b" else None
    kept = await town.connect()
    assert sorted([kept, *town.discarded]) == ["one", "two"]


async def test_a_refusal_for_good_ends_everything() -> None:
    town = Town(patience_s=0, a=None, b=UnauthorizedError("no"))
    with pytest.raises(UnauthorizedError):
        await town.connect()
    assert town.cancelled == ["a"]
