"""Keeps memory and store in step: relays, the operator's choices, revocations.

The hub works from memory alone. What it learns is written through, what others wrote is read when
they say so and after every gap; while the store is away it goes on, and writes all of it again. A
store without our epoch has come back empty, or was filled by another hub since.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from pydantic import ValidationError

from hub.relays.desk import Desk
from hub.relays.registry import RelayRegistry
from hub.revocation import Revocations
from hub.store.interface import Message, Store, StoreUnavailable
from relay.control.messages import Hello

RELAY = "relay:"
AFFINITY = "affinity:"
DRAINED = "drained:"
LAYER = "layer:"
REVOKED = "revoked"
CHOICES = "choices"
EPOCH = "epoch"
LEASE_S = 3.0
RENEW_S = 1.0

log = logging.getLogger(__name__)


class Mirror:
    """clock: monotonic milliseconds. changed: told when something of others came in."""

    def __init__(
        self,
        store: Store,
        registry: RelayRegistry,
        desk: Desk,
        revocations: Revocations,
        *,
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._desk = desk
        self._revocations = revocations
        self._clock = clock
        self._changed = changed
        self._written: dict[str, str] = {}
        self._away = False
        self._epoch: str | None = None
        self._dirty = asyncio.Event()

    def note_choice(self) -> None:
        """The operator chose something: write it now."""
        self._dirty.set()

    async def load(self) -> None:
        """What was known before we started; nothing when the store is away."""
        with suppress(StoreUnavailable):
            self._epoch = await self._store.get(EPOCH)
            await self._read()

    async def run(self) -> None:
        """Write and listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_on())
            group.create_task(self._listen())

    # -- writing

    async def _write_on(self) -> None:
        while True:
            try:
                await self._write()
                self._say(away=False)
            except StoreUnavailable as error:
                self._written.clear()
                self._say(away=True, reason=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await self._dirty.wait()
            self._dirty.clear()

    async def _write(self) -> None:
        await self._meet_epoch()
        for relay in self._registry.relays():
            if relay.connection is not None:
                text = relay.hello.model_dump_json()
                await self._store.acquire(RELAY + relay.id, relay.hello.instance, text, LEASE_S)
        told = False
        wanted = self._choices()
        for key in self._written.keys() - wanted.keys():
            await self._store.delete(key)
            told = True
        for key, value in wanted.items():
            if self._written.get(key) != value:
                await self._store.put(key, value)
                told = True
        self._written = wanted
        if told:
            await self._store.publish(CHOICES, "")
        await self._revocations.write_all()

    def _choices(self) -> dict[str, str]:
        drained = {DRAINED + r.id: r.hello.instance for r in self._registry.relays() if r.drained}
        pins = {AFFINITY + slug: relay for slug, relay in self._desk.pins.items()}
        layers = {LAYER + slug: rid for slug, rid in self._desk.layers.by_commune.items()}
        return drained | pins | layers

    async def _meet_epoch(self) -> None:
        """Fill a store that is empty; read one that another hub has filled since."""
        epoch = await self._store.get(EPOCH)
        if epoch is None:
            epoch = secrets.token_hex(8)
            await self._store.put(EPOCH, epoch)
            self._written.clear()
            await self._revocations.refresh()
        elif epoch != self._epoch:
            self._epoch = epoch
            await self._read()
        self._epoch = epoch

    # -- reading

    async def _listen(self) -> None:
        async with self._store.subscribe(REVOKED, CHOICES) as messages:
            await self._follow(messages)

    async def _follow(self, messages: AsyncIterator[Message]) -> None:
        async for message in messages:
            if message.is_gap and self._away:
                continue
            with suppress(StoreUnavailable):
                if await self._store.get(EPOCH) == self._epoch:
                    await self._read()

    async def _read(self) -> None:
        """Take over what others wrote."""
        await self._revocations.refresh()
        now_ms = self._clock()
        for text in (await self._store.scan(RELAY)).values():
            with suppress(ValidationError):
                self._registry.restore(Hello.model_validate_json(text), now_ms)
        if self._dirty.is_set():
            return  # Our own choice is newer than what is there.
        pins = await self._store.scan(AFFINITY)
        self._desk.pins = {key.removeprefix(AFFINITY): relay for key, relay in pins.items()}
        layers = await self._store.scan(LAYER)
        self._desk.layers.replace({k.removeprefix(LAYER): rid for k, rid in layers.items()})
        drained = await self._store.scan(DRAINED)
        for relay in self._registry.relays():
            is_drained = drained.get(DRAINED + relay.id) == relay.hello.instance
            if relay.drained != is_drained:
                self._registry.set_drained(relay, is_drained)
        self._written = self._choices()
        self._changed()

    def _say(self, *, away: bool, reason: str = "") -> None:
        if away != self._away:
            self._away = away
            if away:
                log.warning("the store is away, going on from memory: %s", reason)
            else:
                log.info("the store is there")
