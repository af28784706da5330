"""The loop that gets a session up: every place in turn without a pause, then wait, then again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from relay.client.backoff import Backoff
from relay.client.errors import ClientError

PlaceT = TypeVar("PlaceT")
SessionT = TypeVar("SessionT")


async def connect_somewhere(
    places: Callable[[int], Sequence[PlaceT]],
    attempt: Callable[[PlaceT], Awaitable[SessionT]],
    *,
    backoff: Backoff,
    on_wait: Callable[[ClientError, float], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SessionT:
    """The first session that comes up.

    places: a round, at least one place, given the number of rounds in vain. on_wait: told of the
    first place's failure and the seconds until the next round. Raises the ClientError of an
    attempt that no retry can mend.
    """
    while True:
        errors: list[ClientError] = []
        for place in places(backoff.attempt):
            try:
                return await attempt(place)
            except ClientError as error:
                if not error.retryable:
                    raise
                errors.append(error)
        delay_s = backoff.failed(asked_to_wait_s(errors))
        if on_wait is not None:
            on_wait(errors[0], delay_s)
        await sleep(delay_s)


def asked_to_wait_s(errors: Sequence[ClientError]) -> float | None:
    """The shortest Retry-After of a round; None if a place has not asked for any."""
    asked = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return min(asked) if asked and len(asked) == len(errors) else None
