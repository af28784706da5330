"""What is done with relays: viewers moved, relays drained, communes pinned."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hub.relays.layer_pins import LayerPins
from hub.relays.placing_node import PlacingNode
from hub.relays.registry import Relay, RelayRegistry, RelayState
from hub.relays.relay_rows import RelayTable
from relay.control.messages import Drain, Move
from relay.node.snapshot import NodeSnapshot
from relay.signalling.events import EventHub

MOVES_PER_S = 40.0
"""A join is a burst of a few hundred packets: moves are spread so that nobody feels them."""
REPEAT_MS = 3000.0
LOOK_S = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leaving:
    """A viewer that is to go."""

    session: str
    commune: str
    stream: str
    node: str
    to: str | None


class Desk:
    """Implements `hub.api.context.RelayDesk`. embedded: the hub's own node, whose viewers hear of a
    move through `events`. hub_url: where viewers go when there is no relay. on_pin: keeps a choice.
    clock: monotonic milliseconds."""

    def __init__(
        self,
        registry: RelayRegistry,
        placing: PlacingNode,
        events: EventHub,
        embedded: Callable[[], NodeSnapshot],
        *,
        hub_url: Callable[[], str],
        on_choice: Callable[[], None],
        layers: LayerPins,
        clock: Callable[[], float],
    ) -> None:
        self.pins: dict[str, str] = {}
        self.layers = layers
        self._registry = registry
        self._placing = placing
        self._events = events
        self._embedded = embedded
        self._hub_url = hub_url
        self._on_choice = on_choice
        self._clock = clock
        self._table = RelayTable()
        self._queue: deque[Leaving] = deque()
        self._told_ms: dict[str, float] = {}

    # -- RelayDesk

    def rows(self) -> list[dict[str, Any]]:
        """One row a relay."""
        now_ms = self._clock()
        relays = self._registry.relays()
        return self._table.rows([(r, r.state_at(now_ms).value) for r in relays], now_ms)

    def drain(self, relay: str, *, leave: bool) -> int:
        """Place nobody there; its viewers go. leave: then its process ends. Raises KeyError."""
        found = self._registry.get(relay)
        self._registry.set_drained(found, True)
        if leave:
            found.send(Drain(exit=True))
        self._on_choice()
        return self._send_away(found, to=None)

    def resume(self, relay: str) -> None:
        """Place viewers there again. Raises KeyError."""
        self._registry.set_drained(self._registry.get(relay), False)
        self._on_choice()

    def move(self, relay: str, *, to: str | None) -> int:
        """Send its viewers away. Raises KeyError."""
        if to is not None:
            self._registry.get(to)
        return self._send_away(self._registry.get(relay), to=to)

    def pin(self, commune: str, relay: str | None) -> int:
        """A commune's relay from now on. Raises KeyError."""
        if relay is None:
            self.pins.pop(commune, None)
        else:
            self._registry.get(relay)
            self.pins[commune] = relay
        self._on_choice()
        nodes = [("", self._embedded())]
        nodes += [(r.id, r.snapshot) for r in self._registry.relays() if r.snapshot is not None]
        return sum(
            self._enqueue(name, snapshot, commune=commune, to=relay)
            for name, snapshot in nodes
            if name != relay
        )

    def pin_layer(self, commune: str, rid: str | None) -> None:
        """A commune's layer from now on."""
        self.layers.pin(commune, rid)

    def layer_pins(self) -> Mapping[str, str]:
        """By commune: the layer that was chosen for it."""
        return self.layers.by_commune

    def alternatives(self, commune: str) -> list[str]:
        """Base URLs of relays, best first."""
        return self._placing.alternatives_for(commune)

    # -- the work

    async def run(self) -> None:
        """Move those who are to go, and empty relays that drain."""
        while True:
            for relay in self._registry.relays():
                if relay.state_at(self._clock()) is RelayState.DRAINING:
                    self._send_away(relay, to=None)
            while self._queue:
                self._tell(self._queue.popleft())
                await asyncio.sleep(1 / MOVES_PER_S)
            self._registry.forget_lost(self._clock())
            await asyncio.sleep(LOOK_S)

    def _send_away(self, relay: Relay, *, to: str | None) -> int:
        return 0 if relay.snapshot is None else self._enqueue(relay.id, relay.snapshot, to=to)

    def _enqueue(
        self, node: str, snapshot: NodeSnapshot, *, to: str | None, commune: str | None = None
    ) -> int:
        now_ms = self._clock()
        self._told_ms = {s: ms for s, ms in self._told_ms.items() if now_ms - ms < REPEAT_MS}
        count = 0
        for stream in snapshot.streams:
            for viewer in stream.viewers:
                if viewer.scope == "relay" or viewer.id in self._told_ms:
                    continue
                if commune is None or viewer.commune == commune:
                    self._told_ms[viewer.id] = now_ms
                    leaving = Leaving(viewer.id, viewer.commune, stream.name, node, to)
                    self._queue.append(leaving)
                    count += 1
        return count

    def _tell(self, leaving: Leaving) -> None:
        url = self._placing.move_url(
            leaving.commune, leaving.stream, away_from=leaving.node, to=leaving.to
        )
        url = url or f"{self._hub_url()}/whep/{leaving.stream}"
        if not leaving.node:
            self._events.session_event(leaving.session, "reconnect", {"url": url})
            return
        with suppress(KeyError):  # A relay that is gone has no viewers to move.
            self._registry.get(leaving.node).send(Move(session=leaving.session, url=url))
