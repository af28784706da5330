"""How a node empties: nobody new comes in, everybody is told where to go, and then it may end."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from relay.node.media_node import MediaNode
from relay.node.viewer import ViewerSession
from relay.signalling.events import EventHub
from relay.transport.parameters import CloseReason

HUB_TURN_S = 2.0
"""The hub moves viewers, each to the relay that is best for it; we step in after this."""
REPEAT_S = 2.0
PACE_S = 0.02
LOOK_S = 0.1

log = logging.getLogger(__name__)


class Drainer:
    """places: base URLs that viewers may go to. linked: whether the hub can do it better."""

    def __init__(
        self,
        node: MediaNode,
        events: EventHub,
        *,
        limit_s: float,
        places: Callable[[], Sequence[str]],
        linked: Callable[[], bool],
    ) -> None:
        self._node = node
        self._events = events
        self._limit_s = limit_s
        self._places = places
        self._linked = linked
        self._next = itertools.count()

    async def run(self) -> int:
        """Until all have left or the time is over; how many were still here."""
        self._node.draining = True
        log.info("draining", extra={"viewers": len(self._viewers())})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limit_s):
                await self._empty()
        left = self._viewers()
        for viewer in left:
            viewer.peer.close(CloseReason.SHUTDOWN)
        log.info("drained", extra={"left": len(left)})
        return len(left)

    async def _empty(self) -> None:
        self._send_away([v for v in self._viewers() if v.grant.scope == "relay"])
        self._release_publishers()
        waited_s = 0.0
        while self._viewers():
            if waited_s >= HUB_TURN_S or not self._linked():
                for viewer in self._viewers():
                    self._send_away([viewer])
                    await asyncio.sleep(PACE_S)
                waited_s = HUB_TURN_S - REPEAT_S
            await asyncio.sleep(LOOK_S)
            waited_s += LOOK_S

    def _release_publishers(self) -> None:
        """A publisher comes back through the hub and lands on another origin."""
        for stream in self._node.streams.values():
            for feed in stream.feeds():
                if not feed.pulled:
                    feed.end(CloseReason.SHUTDOWN)

    def _send_away(self, viewers: Sequence[ViewerSession]) -> None:
        places = self._places()
        for viewer in viewers:
            data: dict[str, object] = {}
            if places:
                place = places[next(self._next) % len(places)].rstrip("/")
                data["url"] = f"{place}/whep/{viewer.stream}"
            self._events.session_event(viewer.id, "reconnect", data)

    def _viewers(self) -> list[ViewerSession]:
        return [v for s in self._node.streams.values() for v in s.viewers.values()]
