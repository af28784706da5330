"""A crowd of viewers in one process: the first few whole, the rest by their headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from hub.cli.watch_decode import PictureCheck
from hub.cli.watch_places import keep_alternatives
from relay.client.crowd_session import CrowdIdentity, CrowdSession
from relay.client.errors import ClientError
from relay.client.leg import Leg, ViewerSession
from relay.client.places import Alternatives, Place, Places
from relay.client.port_session import PortSession
from relay.client.viewer_figures import ViewerFigures
from relay.client.watcher import Watcher

TICK_S = 0.25
STALL_MS = 200.0
"""After a pause of the process itself the signs of life may still be waiting in the sockets."""


@dataclass(frozen=True)
class CrowdPlan:
    """Who watches. tokens: (name, token) pairs, taken in turn. ramp_s: joins are spread over it.
    decrypt: so many viewers are whole ones, with repair; the others count headers.
    alternatives: base URLs to go on to. events: follow the nodes' event streams. tcp_only: no
    media over UDP; only whole viewers can do that."""

    url: str
    tokens: Sequence[tuple[str, str | None]]
    viewers: int
    ramp_s: float
    decrypt: int
    decode: bool
    alternatives: tuple[str, ...] = ()
    events: bool = True
    tcp_only: bool = False


class Crowd:
    """`run` until cancelled; it ends by itself when every viewer has been refused for good.

    longest_stall_ms: by how much this process was late at most; pauses of up to that length may be
    its own and not a node's.
    """

    def __init__(self, plan: CrowdPlan, http: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._http = http
        self._identity = CrowdIdentity()
        self._check: PictureCheck | None = None
        self.longest_stall_ms = 0.0
        self._alternatives = Alternatives(plan.alternatives)
        self._watchers = [self._watcher(index) for index in range(plan.viewers)]

    async def run(self) -> None:
        """Raises the last refusal when nobody is left."""
        token = self._plan.tokens[0][1]
        others = [
            asyncio.create_task(self._tick()),
            asyncio.create_task(
                keep_alternatives(self._http, self._plan.url, token, self._alternatives)
            ),
        ]
        tasks = [
            asyncio.create_task(self._start(index, watcher))
            for index, watcher in enumerate(self._watchers)
        ]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, ClientError):
                    raise result
        finally:
            for task in (*tasks, *others):
                task.cancel()
            await asyncio.gather(*tasks, *others, return_exceptions=True)
            self._identity.sockets.close()

    def measure(self) -> list[ViewerFigures]:
        """Figures of all; rates are since the last call."""
        now_ms = time.monotonic() * 1000
        return [watcher.measure(now_ms) for watcher in self._watchers]

    def decoding(self) -> dict[str, Any]:
        """What the decoder of the first viewer says, empty without one."""
        if not self._plan.decode:
            return {}
        if self._check is None:
            return {"decoded": 0, "undecodable": 0, "latency_ms": None}
        return {
            "decoded": self._check.pictures,
            "undecodable": self._check.failed,
            "latency_ms": self._check.latency_ms,
        }

    def _watcher(self, index: int) -> Watcher:
        name, token = self._plan.tokens[index % len(self._plan.tokens)]
        whole = index < self._plan.decrypt
        decodes = self._plan.decode and index == 0

        async def open_session(leg: Leg, place: Place) -> ViewerSession:
            proof = None if place.ticket else token
            http, timeout_s, shun = self._http, place.timeout_s, place.shun
            if whole:
                return await PortSession.open(
                    http,
                    place.url,
                    proof,
                    leg,
                    timeout_s=timeout_s,
                    shun=shun,
                    tcp_only=self._plan.tcp_only,
                )
            return CrowdSession(
                self._identity, http, place.url, proof, leg, timeout_s=timeout_s, shun=shun
            )

        return Watcher(
            name or str(index),
            open_session,
            Places(self._plan.url, self._alternatives, turn=index),
            repairs=whole,
            events=self._plan.events,
            on_media=self._decode if decodes else None,
        )

    def _decode(self, packets: Sequence[bytes], now_ms: float) -> None:
        negotiation = self._watchers[0].negotiation
        if negotiation is None:
            return
        if self._check is None:
            self._check = PictureCheck(negotiation)
        self._check.follow(negotiation)
        self._check.on_media(packets, now_ms)

    async def _start(self, index: int, watcher: Watcher) -> None:
        if self._plan.ramp_s > 0:
            await asyncio.sleep(self._plan.ramp_s * index / self._plan.viewers)
        await watcher.run()

    async def _tick(self) -> None:
        """A quarter of the viewers at a time: hundreds of reports at once would be a burst."""
        turn, last_ms = 0, time.monotonic() * 1000
        while True:
            await asyncio.sleep(TICK_S / 4)
            now_ms = time.monotonic() * 1000
            stalled = now_ms - last_ms > STALL_MS
            late_ms = now_ms - last_ms - TICK_S * 250
            self.longest_stall_ms = max(self.longest_stall_ms, round(late_ms, 1))
            last_ms = now_ms
            if not stalled:
                for watcher in self._watchers:
                    watcher.judge(now_ms)
                for watcher in self._watchers[turn::4]:
                    watcher.tick(now_ms)
            self._identity.sockets.on_tick(now_ms)
            turn = (turn + 1) % 4
