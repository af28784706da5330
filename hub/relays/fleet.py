"""All media nodes as one: the embedded one and those on the link, for telemetry and the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from pydantic import BaseModel

from relay.control.messages import Close, Hello, Keyframe
from relay.node.snapshot import (
    NodeSnapshot,
    PublisherSnapshot,
    StreamSnapshot,
    ViewerSnapshot,
)

HOLD_MS = 3000.0
"""A relay's last report counts so long after it: its viewers need a moment to appear elsewhere."""


class FleetRelay(Protocol):
    """A relay as the registry knows it. reported_ms: when its last report came."""

    @property
    def hello(self) -> Hello: ...

    @property
    def snapshot(self) -> NodeSnapshot | None: ...

    @property
    def reported_ms(self) -> float: ...

    def send(self, message: BaseModel) -> bool:
        """False when its link is down."""


class Relays(Protocol):
    """The registry's part that a fleet needs."""

    def relays(self) -> Sequence[FleetRelay]: ...


class FleetSession(Protocol):
    """A session anywhere."""

    owner: str

    async def close(self) -> None: ...


class EmbeddedNode(Protocol):
    """The node in the hub's own process."""

    def snapshot(self) -> NodeSnapshot: ...

    def session(self, session_id: str) -> FleetSession | None: ...

    def request_keyframes(self, stream: str) -> int: ...


class RemoteSession:
    """A session on a relay. owner: not known here; relays end revoked sessions themselves."""

    owner = ""

    def __init__(self, session_id: str, relay: FleetRelay) -> None:
        self._id = session_id
        self._relay = relay

    async def close(self) -> None:
        """Tell its relay."""
        self._relay.send(Close(session=self._id))


class Fleet:
    """clock: monotonic milliseconds, the registry's."""

    def __init__(self, embedded: EmbeddedNode, relays: Relays, clock: Callable[[], float]) -> None:
        self._embedded = embedded
        self._relays = relays
        self._clock = clock

    def snapshot(self) -> NodeSnapshot:
        """Streams with the publishers and viewers of all nodes; pulls are left out."""
        own = self._embedded.snapshot()
        nodes = [(own.id, own), *((r.hello.id, s) for r, s in self._reports())]
        return replace(own, streams=merged_streams(nodes))

    def session(self, session_id: str) -> FleetSession | None:
        """A session by its id, wherever it is."""
        found = self._embedded.session(session_id)
        if found is not None:
            return found
        for relay, snapshot in self._reports():
            if session_id in _session_ids(snapshot):
                return RemoteSession(session_id, relay)
        return None

    def request_keyframes(self, stream: str) -> int:
        """Ask the publisher on air; of how many video sources it was asked."""
        asked = self._embedded.request_keyframes(stream)
        for relay, snapshot in self._reports():
            videos = _videos_on_air(snapshot, stream)
            if videos and relay.send(Keyframe(stream=stream)):
                asked += videos
        return asked

    def _reports(self) -> list[tuple[FleetRelay, NodeSnapshot]]:
        now_ms = self._clock()
        return [
            (relay, relay.snapshot)
            for relay in self._relays.relays()
            if relay.snapshot is not None and now_ms - relay.reported_ms <= HOLD_MS
        ]


def merged_streams(nodes: Sequence[tuple[str, NodeSnapshot]]) -> tuple[StreamSnapshot, ...]:
    """Streams of several nodes, (id, snapshot), by name; the first node's order."""
    by_name: dict[str, list[tuple[str, StreamSnapshot]]] = {}
    for node_id, snapshot in nodes:
        for stream in snapshot.streams:
            by_name.setdefault(stream.name, []).append((node_id, stream))
    return tuple(_merged(parts) for parts in by_name.values())


def _merged(parts: Sequence[tuple[str, StreamSnapshot]]) -> StreamSnapshot:
    streams = [stream for _, stream in parts]
    origin = _origin_of(streams)
    joins = [s.join_p95_ms for s in streams if s.join_p95_ms is not None]
    return replace(
        origin,
        publishers=tuple(_publishers(streams)),
        viewers=tuple(_viewers(parts)),
        nacked=sum(s.nacked for s in streams),
        repairs_sent=sum(s.repairs_sent for s in streams),
        keyframes_asked=sum(s.keyframes_asked for s in streams),
        keyframes_suppressed=sum(s.keyframes_suppressed for s in streams),
        keyframes_cache_served=sum(s.keyframes_cache_served for s in streams),
        join_p95_ms=max(joins, default=None),
        upstream=None,
    )


def _origin_of(streams: Sequence[StreamSnapshot]) -> StreamSnapshot:
    """The node that has the publisher tells the state of the air."""

    def rank(stream: StreamSnapshot) -> tuple[bool, bool]:
        publishes = any(not p.pulled for p in stream.publishers)
        return publishes and stream.state == "on_air", publishes

    return max(streams, key=rank)


def _publishers(streams: Iterable[StreamSnapshot]) -> Iterable[PublisherSnapshot]:
    return (p for stream in streams for p in stream.publishers if not p.pulled)


def _viewers(parts: Sequence[tuple[str, StreamSnapshot]]) -> Iterable[ViewerSnapshot]:
    return (
        replace(viewer, node=node_id)
        for node_id, stream in parts
        for viewer in stream.viewers
        if viewer.scope != "relay"
    )


def _session_ids(snapshot: NodeSnapshot) -> set[str]:
    streams = snapshot.streams
    viewers = {viewer.id for stream in streams for viewer in stream.viewers}
    return viewers | {publisher.id for stream in streams for publisher in stream.publishers}


def _videos_on_air(snapshot: NodeSnapshot, stream: str) -> int:
    return sum(
        source.kind == "video"
        for found in snapshot.streams
        if found.name == stream
        for publisher in found.publishers
        if publisher.on_air and not publisher.pulled
        for source in publisher.sources
    )
