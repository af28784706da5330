"""What the API's handlers work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hub.config import HubConfig
from hub.relays.fleet import FleetSession
from hub.revocation import Revocations
from hub.roster import Roster
from hub.telemetry.telemetry import Telemetry
from hub.tokens import TokenIssuer
from relay.node.media_node import MediaNode
from relay.node.snapshot import NodeSnapshot
from relay.signalling.auth import TokenVerifier


class HubNode(Protocol):
    """The part of `relay.node.media_node.MediaNode` that the API needs."""

    def snapshot(self) -> NodeSnapshot: ...

    def session(self, session_id: str) -> FleetSession | None: ...

    def request_keyframes(self, stream: str) -> int: ...


class RelayDesk(Protocol):
    """What can be done with relays. Every verb but `rows` raises KeyError for an unknown relay."""

    def rows(self) -> list[dict[str, Any]]: ...

    def drain(self, relay: str, *, leave: bool) -> int:
        """Viewers that will be moved. leave: the process ends then."""

    def resume(self, relay: str) -> None:
        """Place viewers there again."""

    def move(self, relay: str, *, to: str | None) -> int:
        """Send its viewers to another one, or where placement has them; how many."""

    def pin(self, commune: str, relay: str | None) -> int:
        """A commune is served by this relay from now on (None: by placement); viewers moved."""

    def pin_layer(self, commune: str, rid: str | None) -> None:
        """A commune's layer from now on (None: by its line and size)."""

    def layer_pins(self) -> Mapping[str, str]:
        """By commune: the layer that was chosen for it."""

    def alternatives(self, commune: str) -> list[str]:
        """Base URLs of relays that a page may try, best first."""


class NoRelays:
    """A hub that knows no relay."""

    def rows(self) -> list[dict[str, Any]]:
        """None."""
        return []

    def drain(self, relay: str, *, leave: bool) -> int:
        """Raises KeyError."""
        raise KeyError(relay)

    def resume(self, relay: str) -> None:
        """Raises KeyError."""
        raise KeyError(relay)

    def move(self, relay: str, *, to: str | None) -> int:
        """Raises KeyError."""
        raise KeyError(relay)

    def pin(self, commune: str, relay: str | None) -> int:
        """Raises KeyError unless it takes a pin away."""
        if relay is not None:
            raise KeyError(relay)
        return 0

    def pin_layer(self, commune: str, rid: str | None) -> None:
        """Nobody to tell."""

    def layer_pins(self) -> Mapping[str, str]:
        """None."""
        return {}

    def alternatives(self, commune: str) -> list[str]:
        """None."""
        return []


@dataclass
class ApiContext:
    """One hub. relays: what the operator does with them. embedded: the node
    in this process. base_url: how this machine reaches the
    pages, set once the ports are known."""

    config: HubConfig
    node: HubNode
    roster: Roster
    verifier: TokenVerifier
    issuer: TokenIssuer
    revocations: Revocations
    telemetry: Telemetry
    relays: RelayDesk = field(default_factory=NoRelays)
    embedded: MediaNode | None = None
    base_url: str = ""

    def __post_init__(self) -> None:
        stream = self.config.stream
        for name in stream.names:
            own = (stream.title_vi, stream.title_en)
            self.telemetry.titles[name] = own if name == stream.name else (name, name)
