"""A relay's own hand in the store: it is known, and hears of revocations, while the hub is away."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from hub.relays.mirror import LEASE_S, RELAY, RENEW_S, REVOKED
from hub.revocation import PREFIX
from hub.store.interface import Message, Store, StoreUnavailable
from relay.node.server import RelayServer

log = logging.getLogger(__name__)


class Presence:
    """`run` until cancelled; the lease is given back at the end."""

    def __init__(self, store: Store, server: RelayServer) -> None:
        self._store = store
        self._server = server
        self._away = False

    async def run(self) -> None:
        """Renew the lease and listen."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew())
                group.create_task(self._listen())
        finally:
            hello = self._server.hello()
            with suppress(StoreUnavailable):
                await self._store.release(RELAY + hello.id, hello.instance)

    async def _renew(self) -> None:
        while True:
            hello = self._server.hello()
            try:
                text = hello.model_dump_json()
                await self._store.acquire(RELAY + hello.id, hello.instance, text, LEASE_S)
                self._say(away=False)
            except StoreUnavailable:
                self._say(away=True)
            await asyncio.sleep(RENEW_S)

    async def _listen(self) -> None:
        with suppress(StoreUnavailable):
            await self._take_all()
        async with self._store.subscribe(REVOKED) as messages:
            async for message in messages:
                with suppress(StoreUnavailable):
                    await self._take(message)

    async def _take(self, message: Message) -> None:
        if message.is_gap:
            await self._take_all()
            return
        until_ns = await self._store.get(PREFIX + message.text)
        if until_ns is not None and until_ns.isdigit():
            self._server.revoke(message.text, int(until_ns))

    async def _take_all(self) -> None:
        for key, until_ns in (await self._store.scan(PREFIX)).items():
            if until_ns.isdigit():
                self._server.revoke(key.removeprefix(PREFIX), int(until_ns))

    def _say(self, *, away: bool) -> None:
        if away != self._away:
            self._away = away
            log.warning("the store is away" if away else "the store is there")
