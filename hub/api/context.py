"""What the API's handlers work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hub.config import HubConfig
from hub.revocation import Revocations
from hub.roster import Roster
from hub.telemetry.telemetry import Telemetry
from hub.tokens import TokenIssuer
from relay.node.snapshot import NodeSnapshot
from relay.signalling.auth import TokenVerifier
from relay.signalling.node_protocol import SignallingSession


class HubNode(Protocol):
    """The part of `relay.node.media_node.MediaNode` that the API needs."""

    def snapshot(self) -> NodeSnapshot: ...

    def session(self, session_id: str) -> SignallingSession | None: ...

    def request_keyframes(self, stream: str) -> int: ...


@dataclass
class ApiContext:
    """One hub. base_url: how this machine reaches the pages, set once the ports are known."""

    config: HubConfig
    node: HubNode
    roster: Roster
    verifier: TokenVerifier
    issuer: TokenIssuer
    revocations: Revocations
    telemetry: Telemetry
    base_url: str = ""

    def __post_init__(self) -> None:
        stream = self.config.stream
        for name in stream.names:
            own = (stream.title_vi, stream.title_en)
            self.telemetry.titles[name] = own if name == stream.name else (name, name)
