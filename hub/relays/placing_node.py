"""The hub's node as viewers meet it: sends them to their relay, or serves them itself."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal
from urllib.parse import quote

from hub.relays.registry import Relay, RelayRegistry
from hub.relays.tickets import TicketOffice
from hub.state.placement import RelayLoad, alternatives, place
from relay.core.line_check import STREAM as LINE_CHECK
from relay.node.media_node import MediaNode
from relay.signalling.node_protocol import Accepted, Grant, Redirected, Refused, SignallingSession
from relay.signalling.offer import Offer

REQUEST_SCHEME: ContextVar[Literal["http", "https"]] = ContextVar("scheme", default="http")
"""Of the request that is being served: a page on HTTPS may not be sent to a plain HTTP relay."""


class PlacingNode:
    """Implements `relay.signalling.node_protocol.SignallingNode`.

    chosen: the relay that an operator has named for a commune. clock: monotonic milliseconds.
    """

    def __init__(
        self,
        node: MediaNode,
        registry: RelayRegistry,
        office: TicketOffice,
        *,
        chosen: Callable[[str], str | None],
        clock: Callable[[], float],
        max_viewers_per_commune: int = 20,
    ) -> None:
        self._node = node
        self._registry = registry
        self._office = office
        self._chosen = chosen
        self._clock = clock
        self._max_viewers_per_commune = max_viewers_per_commune

    async def publish(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """At the embedded node."""
        return await self._node.publish(stream, offer, grant)

    async def view(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """Raises Redirected when a relay takes the viewer, Refused when nobody does."""
        known = stream in self._node.streams or stream == LINE_CHECK
        if grant.scope == "view" and not grant.ticket_id and known:
            relay = self._place(grant)
            if relay is not None:
                self._check_room(grant.subject)
                if stream != LINE_CHECK:
                    self._check_on_air(stream)
                    # Only now: a viewer that was refused is not on its way. Nor is a line check:
                    # never seen among the viewers, it would count as one that came nowhere.
                    now_ms = self._clock()
                    self._registry.on_placed(relay.id, grant.subject, grant.token_id, now_ms)
                raise Redirected(
                    self._url(relay, stream, self._office.ticket(grant, relay.id, stream))
                )
        return await self._node.view(stream, offer, grant)

    def session(self, session_id: str) -> SignallingSession | None:
        """Of the embedded node: relays keep their own."""
        return self._node.session(session_id)

    def alternatives_for(self, commune: str) -> list[str]:
        """Base URLs of relays that a page may try by itself, best first."""
        loads = self._reachable(self._clock())
        order = alternatives(commune, loads, first=self._chosen(commune))
        return [base_url(self._registry.get(relay_id)) for relay_id in order]

    def move_url(self, commune: str, stream: str, *, away_from: str, to: str | None) -> str | None:
        """Where a viewer that must leave a node goes; None when no relay can take it."""
        now_ms = self._clock()
        loads = [load for load in self._registry.loads(now_ms) if load.id != away_from]
        placement = place(commune, loads, chosen=to or self._chosen(commune))
        if placement is None:
            return None
        relay = self._registry.get(placement.relay)
        ticket = self._office.ticket_for_commune(commune, relay.id, stream)
        self._registry.on_placed(relay.id, commune, "", now_ms)
        return self._url(relay, stream, ticket)

    def _place(self, grant: Grant) -> Relay | None:
        now_ms = self._clock()
        placement = place(
            grant.subject,
            self._reachable(now_ms),
            avoid=self._registry.unreached(grant.subject, grant.token_id, now_ms),
            chosen=self._chosen(grant.subject),
        )
        return None if placement is None else self._registry.get(placement.relay)

    def _reachable(self, now_ms: float) -> list[RelayLoad]:
        """Relays that the page that asks may speak to."""
        loads = self._registry.loads(now_ms)
        if REQUEST_SCHEME.get() == "https":
            loads = [load for load in loads if self._registry.get(load.id).hello.https_url]
        return loads

    def _check_room(self, commune: str) -> None:
        """Raises Refused: nodes count their own viewers, we count a commune's on all of them."""
        here = self._registry.viewers_of(commune)
        if here >= self._max_viewers_per_commune:
            retry_s = self._node.config.retry_after_s
            detail = f"This commune already has {here} viewers, the most it may have at once."
            raise Refused(429, detail, retry_s)

    def _check_on_air(self, stream: str) -> None:
        """Raises Refused when every node says that nobody publishes: a relay could say no more."""
        relays = self._registry.relays()
        if any(r.hello.role == "origin" and r.snapshot is None for r in relays):
            return  # An origin that has not reported yet may have the publisher.
        reports = [r.snapshot for r in relays if r.snapshot is not None]
        streams = [s for report in reports for s in report.streams if s.name == stream]
        on_air = self._node.streams[stream].codecs_on_air()
        if reports and not on_air and not any(s.state == "on_air" for s in streams):
            retry_s = self._node.config.retry_after_s
            raise Refused(409, "Nothing is on the air on this stream yet.", retry_s)

    def _url(self, relay: Relay, stream: str, ticket: str) -> str:
        return f"{base_url(relay)}/whep/{quote(stream, safe='')}?ticket={ticket}"


def base_url(relay: Relay) -> str:
    """How viewers reach it: over TLS where it can, for that works from every page."""
    return (relay.hello.https_url or relay.hello.base_url).rstrip("/")
