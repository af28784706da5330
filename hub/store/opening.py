"""Which store a configuration asks for."""

from __future__ import annotations

from hub.config import ConfigError, StoreConfig
from hub.store.interface import Store
from hub.store.memory import MemoryStore
from hub.store.redis import RedisStore


def open_store(config: StoreConfig) -> Store:
    """Nothing is connected yet: a store that is away is waited for while it is used.

    Raises ConfigError.
    """
    if not config.redis:
        return MemoryStore()
    try:
        return RedisStore(config.redis, config.prefix)
    except ValueError as error:
        raise ConfigError(f"store.redis: {error}") from None
