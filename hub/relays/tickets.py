"""Tickets: what a redirect carries instead of the viewer's token (docs/relay-tier.md)."""

from __future__ import annotations

import secrets
import time

from hub.tokens import TokenIssuer
from relay.signalling.node_protocol import Grant

LIFETIME_S = 60.0


class TicketOffice:
    """Writes tickets with the hub's key."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def ticket(self, grant: Grant, relay_id: str, stream: str) -> str:
        """A ticket for the viewer of `grant`, good for one relay and one stream."""
        return self._issuer.sign(
            {
                "scope": grant.scope,
                "sub": grant.subject,
                "stream": stream,
                "jti": grant.token_id,
                "exp": int(min(grant.expires_at, time.time() + LIFETIME_S)),
                "tid": secrets.token_hex(8),
                "relay": relay_id,
            }
        )

    def ticket_for_commune(self, commune: str, relay_id: str, stream: str) -> str:
        """The same for a viewer whose token is not at hand: one that is being moved."""
        now_s = time.time()
        token_id = self._issuer.new_id("view", commune)
        grant = Grant("view", commune, stream, token_id, now_s + LIFETIME_S)
        return self.ticket(grant, relay_id, stream)
