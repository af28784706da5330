"""The store of several processes: Redis.

A lease is one string, "<owner>\\n<value>", so that owner, value and lifetime change in one step; a
plain key is "\\n<value>". The owner is percent-encoded, so that it has no line end. Lua keeps
compare-and-set whole on the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote

import redis.asyncio as aredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.store.interface import GAP, Message, StoreUnavailable
from hub.store.subscription import Subscription

TIMEOUT_S = 1.0
RESUBSCRIBE_S = 0.25
PING_S = 1.0
SCAN_COUNT = 500
MAX_CONNECTIONS = 16

_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, string.len(ARGV[1]) + 1) ~= ARGV[1] .. '\\n' then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. '\\n' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, string.len(ARGV[1]) + 1) == ARGV[1] .. '\\n' then
  return redis.call('DEL', KEYS[1])
end
return 0
"""

T = TypeVar("T")


class RedisStore:
    """Implements `hub.store.interface.Store`. prefix: of every key and channel.

    Nothing is connected until it is used. Raises ValueError for a URL that cannot be used; the text
    has no part of it, for it may hold a password.
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self._prefix = prefix
        # A connection of before the server's restart fails once: that is tried again at once.
        pool = _pool(
            aredis.BlockingConnectionPool,
            url,
            retries=1,
            timeout=TIMEOUT_S,
            max_connections=MAX_CONNECTIONS,
        )
        self._client: Any = aredis.Redis.from_pool(pool)
        # A subscription that the client renews by itself would hide the gap.
        self._listener: Any = aredis.Redis.from_pool(_pool(aredis.ConnectionPool, url, retries=0))
        self._acquire = self._client.register_script(_ACQUIRE)
        self._release = self._client.register_script(_RELEASE)
        self._readers: dict[asyncio.Task[None], Subscription] = {}

    async def put(self, key: str, value: str, ttl_s: float | None = None) -> None:
        """Set a key."""
        lifetime = None if ttl_s is None else _ms(ttl_s)
        await self._do(lambda: self._client.set(self._prefix + key, "\n" + value, px=lifetime))

    async def get(self, key: str) -> str | None:
        """The value while it lives."""
        return _value(await self._do(lambda: self._client.get(self._prefix + key)))

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await self._do(lambda: self._client.delete(self._prefix + key))

    async def scan(self, prefix: str) -> dict[str, str]:
        """Live keys by prefix."""
        return await self._do(lambda: self._scan(self._prefix + prefix))

    async def acquire(self, key: str, owner: str, value: str, ttl_s: float) -> bool:
        """Take or renew a lease."""
        keys: list[str] = [self._prefix + key]
        args: list[str | int] = [quote(owner, safe=""), value, _ms(ttl_s)]
        return bool(await self._do(lambda: self._acquire(keys=keys, args=args)))

    async def release(self, key: str, owner: str) -> bool:
        """Give a lease back."""
        keys = [self._prefix + key]
        args = [quote(owner, safe="")]
        return bool(await self._do(lambda: self._release(keys=keys, args=args)))

    async def publish(self, channel: str, text: str) -> None:
        """Tell all who listen."""
        await self._do(lambda: self._client.publish(self._prefix + channel, text))

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[Message]]:
        """Messages from now on; begins with a GAP when the server could not be reached at first."""
        subscription = Subscription()
        ready = asyncio.Event()
        task = asyncio.create_task(self._listen(channels, subscription, ready))
        self._readers[task] = subscription
        try:
            await ready.wait()
            yield subscription
        finally:
            self._readers.pop(task, None)
            task.cancel()
            (failure,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(failure, Exception):
                raise failure

    async def close(self) -> None:
        """Connections and subscriptions end."""
        for task, subscription in tuple(self._readers.items()):
            task.cancel()
            subscription.close()
        for client in (self._client, self._listener):
            with suppress(RedisError, OSError, TimeoutError):
                await client.aclose()

    async def _scan(self, prefix: str) -> dict[str, str]:
        pattern = _escaped(prefix) + "*"
        keys = [key async for key in self._client.scan_iter(match=pattern, count=SCAN_COUNT)]
        keys = list(dict.fromkeys(keys))
        if not keys:
            return {}
        values = await self._client.mget(keys)
        found = zip(keys, map(_value, values), strict=True)
        return {key.removeprefix(self._prefix): v for key, v in found if v is not None}

    async def _do(self, verb: Callable[[], Awaitable[T]]) -> T:
        """Raises StoreUnavailable; the text has no URL, which may hold a password."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                result = await verb()
        except (RedisError, OSError, TimeoutError) as error:
            _stop_if_cancelled()
            raise StoreUnavailable(f"Redis cannot be used: {type(error).__name__}") from None
        _stop_if_cancelled()
        return result

    async def _listen(
        self, channels: tuple[str, ...], into: Subscription, ready: asyncio.Event
    ) -> None:
        """Subscribe, and again after every loss; the reader is told of the gap."""
        names = [self._prefix + channel for channel in channels]
        try:
            while True:
                with suppress(RedisError, OSError, TimeoutError):
                    await self._listen_once(names, into, ready)
                _stop_if_cancelled()
                if not ready.is_set():
                    into.push(GAP)
                    ready.set()
                await asyncio.sleep(RESUBSCRIBE_S)
        finally:
            ready.set()
            into.close()

    async def _listen_once(
        self, names: list[str], into: Subscription, ready: asyncio.Event
    ) -> None:
        """Until the connection is lost. Raises what the client raises, and TimeoutError."""
        pubsub = self._listener.pubsub()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await pubsub.subscribe(*names)
            await self._read(pubsub, set(names), into, ready)
        finally:
            with suppress(RedisError, OSError, TimeoutError):
                await pubsub.aclose()

    async def _read(
        self, pubsub: Any, unconfirmed: set[str], into: Subscription, ready: asyncio.Event
    ) -> None:
        """Hand messages over; a server that is cut off says no goodbye, so it is asked."""
        asked = True  # A subscription is answered too.
        while True:
            said = await pubsub.get_message(timeout=TIMEOUT_S if asked else PING_S)
            _stop_if_cancelled()
            if said is None:
                if asked:
                    raise TimeoutError
                await pubsub.ping()
                asked = True
                continue
            if said["type"] == "message":
                into.push(Message(said["channel"].removeprefix(self._prefix), said["data"]))
            elif said["type"] == "subscribe":
                unconfirmed.discard(said["channel"])
                # What is published from here on arrives.
                if not unconfirmed:
                    if ready.is_set():
                        into.push(GAP)
                    ready.set()
            asked = bool(unconfirmed)


def _pool(kind: Any, url: str, *, retries: int, **more: Any) -> Any:
    """Foreign bytes become U+FFFD instead of an error. Raises ValueError."""
    try:
        pool = kind.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            health_check_interval=0,
            retry=Retry(NoBackoff(), retries),
            **more,
        )
        pool.make_connection()  # Opens nothing, but minds unknown options.
    except (ValueError, TypeError):
        raise ValueError("not the URL of a Redis server") from None
    return pool


def _stop_if_cancelled() -> None:
    """The client's own timeouts may swallow a cancellation that comes in the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _value(stored: str | None) -> str | None:
    """Without the owner; None for what is not ours."""
    _, line_end, value = (stored or "").partition("\n")
    return value if line_end else None


def _escaped(text: str) -> str:
    """A literal for SCAN's glob."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
