"""Which layer an operator chose for a commune: told to every node, whatever node serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hub.relays.registry import RelayRegistry
from relay.control.messages import LayerPin
from relay.node.media_node import MediaNode


class LayerPins:
    """node: the hub's own. on_choice: keeps a choice. by_commune: slug to rid."""

    def __init__(
        self, node: MediaNode, registry: RelayRegistry, *, on_choice: Callable[[], None]
    ) -> None:
        self.by_commune: dict[str, str] = {}
        self._node = node
        self._registry = registry
        self._on_choice = on_choice

    def pin(self, commune: str, rid: str | None) -> None:
        """Its viewers get this layer where it is sent and their line carries it; None takes the
        choice back."""
        if rid is None:
            self.by_commune.pop(commune, None)
        else:
            self.by_commune[commune] = rid
        self._tell(commune, rid)
        self._on_choice()

    def replace(self, pins: Mapping[str, str]) -> None:
        """Another hub's choices came in."""
        for commune in self.by_commune.keys() | pins.keys():
            if self.by_commune.get(commune) != pins.get(commune):
                self._tell(commune, pins.get(commune))
        self.by_commune = dict(pins)

    def messages(self) -> tuple[LayerPin, ...]:
        """For a relay that has just come."""
        return tuple(LayerPin(commune=c, rid=rid) for c, rid in self.by_commune.items())

    def _tell(self, commune: str, rid: str | None) -> None:
        self._node.pin_layer(commune, rid)
        for relay in self._registry.relays():
            relay.send(LayerPin(commune=commune, rid=rid))
