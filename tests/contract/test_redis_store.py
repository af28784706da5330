"""What only a store on the network can suffer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import redis.asyncio as aredis

from hub.config import ConfigError, StoreConfig
from hub.store.interface import GAP, Message, Store, StoreUnavailable
from hub.store.opening import open_store
from hub.store.redis import RedisStore
from tests.redis_server import RedisServer

WAIT_S = 10.0


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    server = await RedisServer().start()
    yield server
    await server.stop()


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    store = RedisStore(server.url, "test:")
    yield store
    await store.close()


@pytest.fixture
async def raw(server: RedisServer) -> AsyncIterator[aredis.Redis]:
    client = aredis.from_url(server.url)
    yield client
    await client.aclose()


class Line:
    """A TCP line to a server that can be cut without a goodbye. left: clients that gave it up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = asyncio.Event()
        self._open.set()
        self.left: asyncio.Queue[None] = asyncio.Queue()
        self.url = ""

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Line]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        try:
            yield self
        finally:
            self.heal()
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            back = asyncio.create_task(self._pass(far_reader, writer))
            with suppress(OSError):
                await self._pass(reader, far_writer)
            self.left.put_nowait(None)
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            far_writer.close()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is said while the line is cut is lost."""
        while data := await reader.read(65536):
            if self._open.is_set():
                writer.write(data)


async def test_prefixes_keep_installations_apart(server: RedisServer) -> None:
    one, two = RedisStore(server.url, "one:"), RedisStore(server.url, "two:")
    async with two.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        await one.put("a", "1")
        await one.publish("news", "of one")
        await two.publish("news", "of two")
        assert await two.get("a") is None
        assert await two.scan("") == {}
        assert await anext(messages) == Message("news", "of two")
    await one.close()
    await two.close()


async def test_a_lease_ends_by_the_servers_own_clock(store: Store) -> None:
    assert await store.acquire("lease", "a", "x", 0.05)
    async with asyncio.timeout(WAIT_S):
        while not await store.acquire("lease", "b", "y", 5):
            await asyncio.sleep(0.01)
    assert await store.get("lease") == "y"


async def test_a_killed_server_is_unavailable_and_then_back(
    server: RedisServer, store: Store
) -> None:
    async with store.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        await store.put("a", "1")
        await server.kill()
        for verb in (
            store.put("a", "2"),
            store.get("a"),
            store.delete("a"),
            store.scan(""),
            store.publish("x", "y"),
            store.acquire("lease", "a", "x", 5),
            store.release("lease", "a"),
        ):
            with pytest.raises(StoreUnavailable):
                await verb
        await server.start()
        assert await store.get("a") is None
        assert await store.acquire("lease", "a", "x", 5)
        # The subscription stands again by itself, and says that something may be missing.
        assert await anext(messages) is GAP
        await store.publish("news", "again")
        assert await anext(messages) == Message("news", "again")


async def test_a_restart_between_two_verbs_is_not_noticed(
    server: RedisServer, store: Store
) -> None:
    assert await store.acquire("lease", "a", "x", 5)
    await server.restart()
    # The script is unknown to the new server, and the connection is of the old one.
    assert await store.acquire("lease", "b", "y", 5)


async def test_a_lost_subscription_is_told_even_if_it_stands_again_at_once(
    store: Store, raw: aredis.Redis
) -> None:
    async with store.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        await raw.client_kill_filter(_type="pubsub")
        assert await anext(messages) is GAP
        await store.publish("news", "again")
        assert await anext(messages) == Message("news", "again")


async def test_a_line_cut_without_a_goodbye_is_noticed(server: RedisServer, store: Store) -> None:
    async with Line(server.port).running() as line, asyncio.timeout(WAIT_S):
        far = RedisStore(line.url, "test:")
        async with far.subscribe("news") as messages:
            line.cut()
            await store.publish("news", "missed")
            await line.left.get()
            line.heal()
            assert await anext(messages) is GAP
            await store.publish("news", "again")
            assert await anext(messages) == Message("news", "again")
        await far.close()


async def test_a_server_that_answers_nothing_is_given_up(server: RedisServer, store: Store) -> None:
    await store.put("a", "1")
    await store.put("b", "2")
    await server.freeze(True)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(StoreUnavailable):
            await store.get("a")
        # Nobody waits for it at the door either.
        async with store.subscribe("news") as messages:
            assert await anext(messages) is GAP
    await server.freeze(False)
    # The answer that nobody waited for is not taken for this one.
    assert await store.get("b") == "2"


async def test_nothing_listens_where_there_is_no_server() -> None:
    store = RedisStore("redis://127.0.0.1:1/0")
    async with store.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        assert await anext(messages) is GAP
        with pytest.raises(StoreUnavailable):
            await store.get("a")
    await store.close()


async def test_bytes_of_others_do_no_harm(store: Store, raw: aredis.Redis) -> None:
    await raw.set(b"test:\xff", b"\n1")
    await raw.set("test:bytes", b"\n\xff")
    await raw.set("test:foreign", "no line end")
    await raw.hset("test:hash", "a", "b")
    await store.put("a", "1")
    assert await store.scan("") == {"a": "1", "bytes": "\ufffd"}
    assert await store.get("foreign") is None
    with pytest.raises(StoreUnavailable):
        await store.get("hash")
    async with store.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        await raw.publish("test:news", b"\xff")
        await store.publish("news", "again")
        assert await anext(messages) == Message("news", "\ufffd")
        assert await anext(messages) == Message("news", "again")


async def test_a_password_is_never_shown(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = RedisStore(server.url.replace("//", "//nobody:geheim@"))
    with pytest.raises(StoreUnavailable) as refused:
        await store.get("a")
    async with store.subscribe("news") as messages, asyncio.timeout(WAIT_S):
        assert await anext(messages) is GAP
    await store.close()
    assert "geheim" not in f"{refused.value!r}{store!r}{caplog.text}"


@pytest.mark.parametrize(
    "url", ["redis://:geheim#1@host/0", "redis://:geheim@host/0?db=x", "redis://host/0?geheim=1"]
)
async def test_a_url_that_cannot_be_used_is_a_fault_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^store\.redis: ") as error:
        open_store(StoreConfig(redis=url))
    assert "geheim" not in str(error.value)
