"""Asks every relay for a sign of life over the ways that viewers take: HTTP and the UDP port."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import aiohttp

from hub.relays.registry import ProbeKind, Relay, RelayRegistry
from relay.transport.stun import BINDING_SUCCESS, StunError, build_address_request, parse_stun

INTERVAL_S = 0.3
TIMEOUT_S = 0.5
RESEND_S = 0.1
"""A question lost on the way says nothing of the relay (RFC 8489 section 6.2.1)."""
QUESTIONS = 5


class Prober:
    """`run` until cancelled. One question of a kind to a relay at a time; a late answer is none."""

    def __init__(
        self, registry: RelayRegistry, http: aiohttp.ClientSession, clock: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._http = http
        self._clock = clock
        self._asking: dict[tuple[str, ProbeKind], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask them all, again and again."""
        try:
            while True:
                for relay in self._registry.relays():
                    for kind in ProbeKind:
                        self._begin(relay, kind)
                await asyncio.sleep(INTERVAL_S)
        finally:
            tasks = tuple(self._asking.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, relay: Relay, kind: ProbeKind) -> None:
        key = relay.id, kind
        if key not in self._asking:
            task = self._asking[key] = asyncio.create_task(self._ask(relay, kind))
            task.add_done_callback(partial(self._asking.pop, key))

    async def _ask(self, relay: Relay, kind: ProbeKind) -> None:
        asked_ms = self._clock()
        ask = self._ask_http if kind is ProbeKind.HTTP else self._ask_stun
        if await ask(relay):
            self._registry.on_probe(relay, kind, self._clock(), asked_ms=asked_ms)

    async def _ask_http(self, relay: Relay) -> bool:
        url = f"{relay.hello.base_url.rstrip('/')}/healthz"
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._http.get(url, timeout=timeout, allow_redirects=False) as answer:
                await answer.read()
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _ask_stun(self, relay: Relay) -> bool:
        try:
            host = urlsplit(relay.hello.base_url).hostname or ""
            async with asyncio.timeout(TIMEOUT_S):
                return await is_told_address(host, relay.hello.media_port)
        # The address came over the link: it may be no name, no number, or nowhere.
        except (OSError, ValueError, OverflowError):
            return False


async def is_told_address(host: str, port: int) -> bool:
    """Whether a media port answers a binding request, from a socket that no firewall knows yet.

    Raises OSError when there is no way there, ValueError and OverflowError for what is no address.
    """
    loop = asyncio.get_running_loop()
    transport, question = await loop.create_datagram_endpoint(_Question, remote_addr=(host, port))
    try:
        for _ in range(QUESTIONS):
            transport.sendto(question.data)
            await asyncio.wait((question.answered,), timeout=RESEND_S)
            if question.answered.done():
                return question.answered.result()
        return False
    finally:
        transport.close()


class _Question(asyncio.DatagramProtocol):
    """One binding request. answered: False when the machine says that nobody is there."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._transaction_id = secrets.token_bytes(12)
        self.data = build_address_request(self._transaction_id)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        try:
            message = parse_stun(data)
        except StunError:
            return
        if message.kind == BINDING_SUCCESS and message.transaction_id == self._transaction_id:
            self._answer(True)

    def error_received(self, exc: Exception) -> None:
        self._answer(False)

    def _answer(self, answered: bool) -> None:
        if not self.answered.done():
            self.answered.set_result(answered)
