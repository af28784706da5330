"""Hubs that share a Redis: what outlives one of them, what another hears, what absence costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from hub.config import StoreConfig
from hub.store.redis import RedisStore
from relay.control.messages import Beat, Revoked, Welcome
from tests.integration.test_hub_server import bearer
from tests.integration.test_relay_link import hello, linking, serving
from tests.redis_server import RedisServer


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    server = await RedisServer().start()
    yield server
    await server.stop()


def shared(server: RedisServer) -> StoreConfig:
    return StoreConfig(redis=server.url)


async def until_kept(server: RedisServer, key: str, *, there: bool = True) -> str | None:
    """Until a key is in the store, or gone from it."""
    store = RedisStore(server.url, "wardcast:")
    try:
        async with asyncio.timeout(10):
            while True:
                value = await store.get(key)
                if (value is not None) == there:
                    return value
                await asyncio.sleep(0.05)
    finally:
        await store.close()


async def post(http: aiohttp.ClientSession, path: str, token: str, body: object = None) -> int:
    async with http.post(path, json=body or {}, headers=bearer(token)) as answer:
        return answer.status


async def test_a_hub_that_starts_anew_knows_relays_and_choices(
    server: RedisServer, tmp_path: Path
) -> None:
    async with (
        serving(tmp_path, store=shared(server)) as (hub, issuer, http),
        linking(http, issuer) as relay,
    ):
        await relay.say(hello())
        await relay.hear(Welcome)
        await relay.say(Beat(viewers=0, ready=True, draining=False))
        operate = hub.links.operate_token
        pin = {"relay": "relay-1"}
        assert await post(http, "/api/operator/communes/an-phu/relay", operate, pin) == 202
        assert await post(http, "/api/operator/relays/relay-1/drain", operate) == 202
        assert await until_kept(server, "affinity:an-phu") == "relay-1"
        assert await until_kept(server, "drained:relay-1") == "of-relay-1"
        assert await until_kept(server, "relay:relay-1") is not None
    # The lease is there for some seconds more: the next hub finds it.
    async with serving(tmp_path, store=shared(server)) as (hub, _, http):
        headers = bearer(hub.links.operate_token)
        async with http.get("/api/operator/relays", headers=headers) as answer:
            rows = {row["id"]: row for row in (await answer.json())["relays"]}
        assert rows["relay-1"]["state"] == "lost"  # until a probe reaches it
        assert await post(http, "/api/operator/relays/relay-1/resume", hub.links.operate_token)
        assert await until_kept(server, "drained:relay-1", there=False) is None


async def test_what_one_hub_takes_back_is_void_at_the_other_and_its_relays(
    server: RedisServer, tmp_path: Path
) -> None:
    key = tmp_path / "one" / "token-key.pem"
    async with serving(tmp_path / "one", store=shared(server)) as (one, _, http_one):
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "token-key.pem").write_bytes(key.read_bytes())
        async with (
            serving(tmp_path / "two", store=shared(server)) as (_, issuer, http_two),
            linking(http_two, issuer) as relay,
        ):
            await relay.say(hello())
            await relay.hear(Welcome)
            token = one.links.view_tokens["an-phu"]
            async with http_two.get("/api/me", headers=bearer(token)) as answer:
                assert answer.status == 200
            operate = one.links.operate_token
            assert await post(http_one, "/api/operator/communes/an-phu/link", operate) == 201
            told = await relay.hear(Revoked)
            assert isinstance(told, Revoked)
            assert told.owner == "view.an-phu"
            async with http_two.get("/api/me", headers=bearer(token)) as answer:
                assert answer.status == 401


async def test_a_store_that_is_away_costs_nothing_and_is_filled_again(
    server: RedisServer, tmp_path: Path
) -> None:
    await server.kill()
    async with (
        serving(tmp_path, store=shared(server)) as (hub, issuer, http),
        linking(http, issuer) as relay,
    ):
        await relay.say(hello())
        await relay.hear(Welcome)
        await relay.say(Beat(viewers=0, ready=True, draining=False))
        operate = hub.links.operate_token
        pin = {"relay": "relay-1"}
        assert await post(http, "/api/operator/communes/an-phu/relay", operate, pin) == 202
        assert await post(http, "/api/operator/communes/ha-bac/link", operate) == 201
        async with http.get("/readyz") as answer:
            assert answer.status in (200, 503)
        await server.start()
        keep_alive = asyncio.create_task(_beat(relay))
        assert await until_kept(server, "affinity:an-phu") == "relay-1"
        assert await until_kept(server, "relay:relay-1") is not None
        assert (await until_kept(server, "revoked:view.ha-bac") or "").isdigit()
        # Emptied once more while the hub lives.
        await server.kill()
        await server.start()
        assert await until_kept(server, "affinity:an-phu") == "relay-1"
        assert (await until_kept(server, "revoked:view.ha-bac") or "").isdigit()
        keep_alive.cancel()
        await asyncio.gather(keep_alive, return_exceptions=True)


async def _beat(relay: object) -> None:
    while True:
        await relay.say(Beat(viewers=0, ready=True, draining=False))  # type: ignore[attr-defined]
        await asyncio.sleep(0.2)
