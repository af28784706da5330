"""The store of several processes: Redis.

A lease is one string, "<owner>\\n<value>", so that owner, value and lifetime change in one step; a
plain key is "\\n<value>". Lua keeps compare-and-set whole on the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import redis.asyncio as aredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.store.interface import GAP, Message, StoreUnavailable
from hub.store.subscription import Subscription

TIMEOUT_S = 1.0
RESUBSCRIBE_S = 0.25
PING_S = 5.0
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

log = logging.getLogger(__name__)
T = TypeVar("T")


class RedisStore:
    """Implements `hub.store.interface.Store`. prefix: of every key and channel."""

    def __init__(self, url: str, prefix: str = "") -> None:
        self._prefix = prefix
        # A connection of before the server's restart fails once: that is tried again at once.
        pool = aredis.BlockingConnectionPool.from_url(
            url,
            decode_responses=True,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        )
        self._client: Any = aredis.Redis.from_pool(pool)
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
        args: list[str | int] = [owner, value, _ms(ttl_s)]
        return bool(await self._do(lambda: self._acquire(keys=keys, args=args)))

    async def release(self, key: str, owner: str) -> bool:
        """Give a lease back."""
        keys = [self._prefix + key]
        return bool(await self._do(lambda: self._release(keys=keys, args=[owner])))

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
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Connections and subscriptions end."""
        for task, subscription in tuple(self._readers.items()):
            task.cancel()
            subscription.close()
        with suppress(RedisError, OSError, TimeoutError):
            await self._client.aclose()

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
            async with asyncio.timeout(TIMEOUT_S * 1.2):
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
        first = True
        while True:
            pubsub = self._client.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(*names)
                # Confirmed: what is published from here on arrives.
                await pubsub.ping()
                if not first:
                    into.push(GAP)
                ready.set()
                await self._read(pubsub, into)
            except (RedisError, OSError, TimeoutError):
                if not ready.is_set():
                    into.push(GAP)
                    ready.set()
            finally:
                with suppress(RedisError, OSError, TimeoutError):
                    await pubsub.aclose()
            first = False
            _stop_if_cancelled()
            await asyncio.sleep(RESUBSCRIBE_S)

    async def _read(self, pubsub: Any, into: Subscription) -> None:
        quiet_s = 0.0
        while True:
            message = await pubsub.get_message(timeout=TIMEOUT_S)
            _stop_if_cancelled()
            if message is None:
                quiet_s += TIMEOUT_S
                if quiet_s >= PING_S:
                    # A server that is cut off sends no goodbye.
                    await pubsub.ping()
                    quiet_s = 0.0
                continue
            quiet_s = 0.0
            if message["type"] == "message":
                into.push(Message(message["channel"].removeprefix(self._prefix), message["data"]))


def _stop_if_cancelled() -> None:
    """The client's own timeouts may swallow a cancellation that comes in the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _value(stored: str | None) -> str | None:
    """Without the owner."""
    return None if stored is None else stored.partition("\n")[2]


def _escaped(text: str) -> str:
    """A literal for SCAN's glob."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
