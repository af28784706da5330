"""What every store must do; a new implementation is one more entry in STORES."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.store.interface import Store
from hub.store.memory import MemoryStore


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


STORES: dict[str, Callable[[Clock], Store]] = {"memory": MemoryStore}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, clock: Clock) -> Store:
    return STORES[request.param](clock)


async def test_a_value_is_kept_and_replaced(store: Store) -> None:
    assert await store.get("a") is None
    await store.put("a", "1")
    await store.put("a", "2")
    assert await store.get("a") == "2"


async def test_a_lease_ends_and_can_be_renewed(store: Store, clock: Clock) -> None:
    await store.put("relay:1", "up", ttl_s=5)
    clock.now_s += 4
    await store.put("relay:1", "up", ttl_s=5)
    clock.now_s += 4
    assert await store.get("relay:1") == "up"
    clock.now_s += 1
    assert await store.get("relay:1") is None
    assert await store.scan("relay:") == {}


async def test_a_lease_made_permanent_does_not_end(store: Store, clock: Clock) -> None:
    await store.put("a", "1", ttl_s=5)
    await store.put("a", "1")
    clock.now_s += 1e6
    assert await store.get("a") == "1"


async def test_delete_is_harmless_when_there_is_nothing(store: Store) -> None:
    await store.delete("a")
    await store.put("a", "1")
    await store.delete("a")
    await store.delete("a")
    assert await store.get("a") is None


async def test_scan_finds_live_keys_of_a_prefix_alone(store: Store, clock: Clock) -> None:
    await store.put("relay:1", "x", ttl_s=5)
    await store.put("relay:2", "y", ttl_s=50)
    await store.put("relayed", "z")
    await store.put("other", "z")
    clock.now_s += 10
    assert await store.scan("relay:") == {"relay:2": "y"}
    assert set(await store.scan("")) == {"relay:2", "relayed", "other"}
