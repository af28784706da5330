"""What every store must do; a new implementation is one more world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import redis.asyncio as aredis

from hub.store.interface import GAP, MAX_WAITING, Message, Store
from hub.store.memory import MemoryStore
from hub.store.redis import RedisStore
from hub.store.subscription import Subscription
from tests.redis_server import RedisServer

WAIT_S = 5.0


class World(Protocol):
    """A store, another client of the same state, and time."""

    store: Store
    other: Store

    async def pass_s(self, seconds: float) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self._now_s = 1000.0
        self.store: Store = MemoryStore(lambda: self._now_s)
        self.other: Store = self.store

    async def pass_s(self, seconds: float) -> None:
        self._now_s += seconds


class RedisWorld:
    def __init__(self, server: RedisServer) -> None:
        self.store: Store = RedisStore(server.url, "test:")
        self.other: Store = RedisStore(server.url, "test:")
        self._client = aredis.from_url(server.url)

    async def pass_s(self, seconds: float) -> None:
        """Age what the server keeps, instead of waiting for it."""
        for key in await self._client.keys("*"):
            left_ms = await self._client.pttl(key)
            if left_ms >= 0:
                await self._client.pexpire(key, max(0, left_ms - round(seconds * 1000)))

    async def close(self) -> None:
        await self.store.close()
        await self.other.close()
        await self._client.aclose()


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    server = await RedisServer().start()
    world = RedisWorld(server)
    yield world
    await world.close()
    await server.stop()


async def test_a_value_is_kept_and_replaced(world: World) -> None:
    store = world.store
    assert await store.get("a") is None
    await store.put("a", "1")
    await store.put("a", "2")
    assert await world.other.get("a") == "2"


async def test_values_are_any_text(world: World) -> None:
    for text in ("", "phường Lê Đại Hành", "two\nlines\n", "\n", '{"a": [1]}'):
        await world.store.put("a", text)
        assert await world.store.get("a") == text
        assert await world.store.scan("a") == {"a": text}


async def test_a_key_with_a_lifetime_ends_and_can_be_renewed(world: World) -> None:
    store = world.store
    await store.put("relay:1", "up", ttl_s=5)
    await world.pass_s(4)
    await store.put("relay:1", "up", ttl_s=5)
    await world.pass_s(4)
    assert await store.get("relay:1") == "up"
    await world.pass_s(1.1)
    assert await store.get("relay:1") is None
    assert await store.scan("relay:") == {}


async def test_a_key_made_permanent_does_not_end(world: World) -> None:
    await world.store.put("a", "1", ttl_s=5)
    await world.store.put("a", "1")
    await world.pass_s(1e6)
    assert await world.store.get("a") == "1"


async def test_delete_is_harmless_when_there_is_nothing(world: World) -> None:
    store = world.store
    await store.delete("a")
    await store.put("a", "1")
    await store.delete("a")
    await store.delete("a")
    assert await store.get("a") is None


async def test_scan_finds_live_keys_of_a_prefix_alone(world: World) -> None:
    store = world.store
    await store.put("relay:1", "x", ttl_s=5)
    await store.put("relay:2", "y", ttl_s=50)
    await store.put("relayed", "z")
    await store.put("rel*y:3", "z")
    await world.pass_s(10)
    assert await store.scan("relay:") == {"relay:2": "y"}
    assert await store.scan("rel*") == {"rel*y:3": "z"}
    assert set(await store.scan("")) == {"relay:2", "relayed", "rel*y:3"}


async def test_a_lease_has_one_owner(world: World) -> None:
    assert await world.store.acquire("lease", "a", "of a", 5)
    assert not await world.other.acquire("lease", "b", "of b", 5)
    assert await world.store.get("lease") == "of a"
    assert await world.store.acquire("lease", "a", "renewed", 5)
    assert await world.other.scan("lease") == {"lease": "renewed"}


async def test_an_owner_whose_name_begins_like_the_other_is_another(world: World) -> None:
    assert await world.store.acquire("lease", "relay-1", "x", 5)
    assert not await world.other.acquire("lease", "relay", "y", 5)
    assert not await world.other.acquire("lease", "relay-10", "y", 5)


async def test_an_owner_is_any_text(world: World) -> None:
    assert await world.store.acquire("lease", "hội\nđồng", "x\ny", 5)
    assert not await world.other.acquire("lease", "hội", "z", 5)
    assert not await world.other.release("lease", "hội")
    assert await world.store.get("lease") == "x\ny"
    assert await world.store.release("lease", "hội\nđồng")


async def test_what_was_put_is_nobodys_lease(world: World) -> None:
    await world.store.put("lease", "x")
    assert not await world.store.acquire("lease", "a", "y", 5)
    assert not await world.store.release("lease", "a")
    assert await world.store.acquire("other", "a", "y", 5)
    await world.store.put("other", "z")
    assert not await world.store.acquire("other", "a", "y", 5)
    await world.store.delete("lease")
    assert await world.store.acquire("lease", "a", "y", 5)


async def test_a_lease_that_is_not_renewed_is_free(world: World) -> None:
    assert await world.store.acquire("lease", "a", "x", 5)
    await world.pass_s(5.1)
    assert await world.other.acquire("lease", "b", "y", 5)
    assert not await world.store.acquire("lease", "a", "x", 5)


async def test_a_renewed_lease_lives_from_then(world: World) -> None:
    assert await world.store.acquire("lease", "a", "x", 5)
    await world.pass_s(4)
    assert await world.store.acquire("lease", "a", "x", 5)
    await world.pass_s(4)
    assert not await world.other.acquire("lease", "b", "y", 5)


async def test_only_its_owner_gives_a_lease_back(world: World) -> None:
    assert await world.store.acquire("lease", "a", "x", 5)
    assert not await world.other.release("lease", "b")
    assert await world.store.get("lease") == "x"
    assert await world.store.release("lease", "a")
    assert not await world.store.release("lease", "a")
    assert await world.other.acquire("lease", "b", "y", 5)


async def test_of_many_who_ask_at_once_one_gets_the_lease(world: World) -> None:
    owners = [f"owner-{n}" for n in range(20)]
    got = await asyncio.gather(*(world.store.acquire("lease", o, o, 5) for o in owners))
    assert sum(got) == 1
    assert await world.store.get("lease") == owners[got.index(True)]


async def test_a_hundred_at_once_do_not_disturb_each_other(world: World) -> None:
    async def one(number: int) -> str | None:
        await world.store.put(f"n:{number}", str(number), 5)
        return await world.other.get(f"n:{number}")

    got = await asyncio.gather(*map(one, range(100)))
    assert got == [str(number) for number in range(100)]
    assert len(await world.store.scan("n:")) == 100


async def test_messages_reach_all_who_listen_to_the_channel(world: World) -> None:
    async with (
        world.store.subscribe("a", "b") as both,
        world.other.subscribe("b") as only_b,
        asyncio.timeout(WAIT_S),
    ):
        await world.other.publish("a", "1")
        await world.store.publish("c", "nobody hears")
        await world.store.publish("b", "hội đồng")
        assert [await anext(both), await anext(both)] == [
            Message("a", "1"),
            Message("b", "hội đồng"),
        ]
        assert await anext(only_b) == Message("b", "hội đồng")


async def test_who_comes_later_hears_nothing_of_before(world: World) -> None:
    await world.store.publish("a", "before")
    async with world.store.subscribe("a") as messages, asyncio.timeout(WAIT_S):
        await world.store.publish("a", "after")
        assert await anext(messages) == Message("a", "after")


async def test_a_closed_store_ends_its_subscriptions(world: World) -> None:
    async with world.other.subscribe("a") as messages, asyncio.timeout(WAIT_S):
        await world.other.close()
        with pytest.raises(StopAsyncIteration):
            await anext(messages)


async def test_a_slow_reader_loses_the_oldest_and_is_told() -> None:
    subscription = Subscription()
    for number in range(MAX_WAITING + 10):
        subscription.push(Message("a", str(number)))
    assert subscription.dropped == 11
    assert await anext(subscription) is GAP
    assert await anext(subscription) == Message("a", "11")
