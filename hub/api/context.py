"""What the API's handlers work with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
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
    _links: dict[str, list[tuple[str, float]]] = field(
        default_factory=lambda: defaultdict(list), repr=False
    )

    def __post_init__(self) -> None:
        stream = self.config.stream
        for name in stream.names:
            own = (stream.title_vi, stream.title_en)
            self.telemetry.titles[name] = own if name == stream.name else (name, name)

    def remember_link(self, slug: str, token: str) -> None:
        """A commune's link was given out: it is what a new one takes the place of."""
        grant = self.verifier.verify(token)
        self._links[slug].append((grant.token_id, grant.expires_at))

    async def forget_links(self, slug: str, now: float) -> set[str]:
        """Revoke all links of a commune; their token ids. now: seconds since the epoch."""
        links = self._links.pop(slug, [])
        for token_id, expires_at in links:
            await self.revocations.revoke(token_id, max(1.0, expires_at - now))
        return {token_id for token_id, _ in links}
