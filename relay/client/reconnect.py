"""The loop that keeps a session up: try, live, wait with backoff, try again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from relay.client.backoff import Backoff
from relay.client.errors import ClientError


async def keep_connected(
    session: Callable[[], Awaitable[None]],
    *,
    backoff: Backoff | None = None,
    on_wait: Callable[[ClientError, float], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run `session` again and again; it returns when its media has ended after having flowed.

    on_wait: told of each failure and the seconds until the next try. Raises the ClientError that
    no retry can mend. Ends only so, or by cancellation.
    """
    backoff = backoff or Backoff()
    while True:
        try:
            await session()
            # It was up: the first new try comes at once but for the jitter.
            backoff.succeeded()
            error = ClientError("the connection was lost")
        except ClientError as failure:
            if not failure.retryable:
                raise
            error = failure
        delay_s = backoff.failed(error.retry_after_s)
        if on_wait is not None:
            on_wait(error, delay_s)
        await sleep(delay_s)
