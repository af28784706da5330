"""An operator's choice of layer reaches the node that serves the commune, and outlives its link."""

from __future__ import annotations

from hub.relays.layer_pins import LayerPins
from relay.control.messages import LayerPin


class Nodes:
    """The hub's node and one relay; what each was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.sent: list[LayerPin] = []

    def pin_layer(self, commune: str, rid: str | None) -> int:
        self.told.append((commune, rid))
        return 0

    def relays(self) -> list[Nodes]:
        return [self]

    def send(self, message: LayerPin) -> bool:
        self.sent.append(message)
        return True


def test_a_choice_goes_to_every_node_and_to_those_that_come_later() -> None:
    nodes, choices = Nodes(), []
    pins = LayerPins(nodes, nodes, on_choice=lambda: choices.append(1))  # type: ignore[arg-type]
    pins.pin("an-phu", "m")
    assert nodes.told == [("an-phu", "m")]
    assert nodes.sent == [LayerPin(commune="an-phu", rid="m")]
    assert pins.messages() == (LayerPin(commune="an-phu", rid="m"),)
    pins.pin("an-phu", None)
    assert (nodes.told[-1], pins.messages(), len(choices)) == (("an-phu", None), (), 2)


def test_what_another_hub_chose_is_told_once() -> None:
    nodes = Nodes()
    pins = LayerPins(nodes, nodes, on_choice=lambda: None)  # type: ignore[arg-type]
    pins.replace({"an-phu": "l", "ha-bac": "m"})
    pins.replace({"an-phu": "l"})
    assert sorted(nodes.told[:2]) == [("an-phu", "l"), ("ha-bac", "m")]
    assert nodes.told[2:] == [("ha-bac", None)]
