"""Which store a configuration asks for."""

from __future__ import annotations

from hub.config import StoreConfig
from hub.store.interface import Store
from hub.store.memory import MemoryStore
from hub.store.redis import RedisStore


def open_store(config: StoreConfig) -> Store:
    """Nothing is connected yet: a store that is away is waited for while it is used."""
    return RedisStore(config.redis, config.prefix) if config.redis else MemoryStore()
