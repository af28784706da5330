"""One stream: who feeds it, who views it, and the router between them.

Feeds (publishers, or a pull from an upstream) take turns by one rule: the newest one whose media
has begun to arrive is on the air; the one before goes on until the newcomer's first key frame, so
that no viewer sees a gap.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from relay.core.arena import PacketArena, SendBatch
from relay.core.drops import DropReason
from relay.core.line.live_layers import live_layers
from relay.core.negotiation import CodecParameters, Kind
from relay.core.router import StreamRouter
from relay.node.feed import Feed, FeedCallbacks, SourceRun
from relay.node.join_times import JoinTimes
from relay.node.on_air import AirState, OnAir
from relay.node.publisher import Publisher
from relay.node.viewer import ViewerCallbacks, ViewerSession
from relay.signalling.events import EventHub
from relay.signalling.node_protocol import LayerRequest
from relay.transport.peer import CloseReason
from relay.transport.port import MediaPort

NTP_EPOCH_OFFSET_S = 2_208_988_800
RATE_INTERVAL_MS = 1000.0
LIFE_SILENCE_MS = 150.0
LIFE_INTERVAL_MS = 180.0
"""With the tenth of a second between looks at most 300 ms pass without a packet."""
RETIRE_MS = 3000.0
"""A replaced feed is let go after this even if the newcomer has sent no key frame."""

log = logging.getLogger(__name__)


class Stream:
    """Feeds in, viewers out. publisher: the feed on the air. pending: feeds that come up."""

    def __init__(
        self,
        name: str,
        port: MediaPort,
        arena: PacketArena,
        events: EventHub,
        wake: Callable[[float], None],
    ) -> None:
        self.name = name
        self._wake = wake
        self.router = StreamRouter(arena)
        self.on_air = OnAir()
        self.publisher: Feed | None = None
        self.pending: list[Feed] = []
        self.retiring: dict[str, tuple[Feed, float]] = {}
        self.viewers: dict[str, ViewerSession] = {}
        self.publisher_changes = 0
        self.pins: dict[str, str] = {}
        """By commune: the layer that an operator chose for it."""
        self.join_ms = JoinTimes()
        self._rates_ms = 0.0
        self._life_ms = 0.0
        self._past_drops: Counter[DropReason] = Counter()
        self._port = port
        self._events = events
        self.feed_callbacks = FeedCallbacks(self._on_media, self._on_feed_closed)
        self.viewer_callbacks = ViewerCallbacks(
            self._on_viewer_connected,
            self._on_viewer_rtcp,
            self._on_viewer_overflow,
            self._on_viewer_wish,
            self._on_viewer_closed,
        )

    # -- publishers

    def sitting(self, now_ms: float, silence_ms: float) -> Publisher | None:
        """The publisher that holds the slot: on the air, or coming up, and alive."""
        for feed in (self.publisher, *reversed(self.pending)):
            if isinstance(feed, Publisher) and feed.alive(now_ms, silence_ms):
                return feed
        return None

    @property
    def lineage(self) -> tuple[str, ...]:
        """Ids of the nodes through which the stream comes, ours left out."""
        return self.publisher.lineage if self.publisher is not None else ()

    def codecs_on_air(self) -> list[CodecParameters]:
        """What a viewer that joins now must be able to take; empty when nothing is on the air."""
        if self.on_air.state != AirState.ON_AIR or self.publisher is None:
            return []
        return self.publisher.codecs()

    def _on_media(self, publisher: Feed, runs: list[SourceRun], now_ms: float) -> None:
        if publisher is not self.publisher and publisher.id not in self.retiring:
            self._promote(publisher, now_ms)
        for source, packets in runs:
            track = self.router.tracks[source.kind]
            if publisher is self.publisher and source not in track.layers:
                self._take_layers(source.kind)
            self._send(self.router.on_packets(source, packets, now_ms))
            if publisher is self.publisher and any(p.keyframe for p in packets):
                self._retire_unused()
        if publisher is self.publisher:
            self._tell(self.on_air.media(now_ms))
        self._wake(publisher.ingest.next_deadline_ms())

    def _promote(self, publisher: Feed, now_ms: float) -> None:
        if publisher in self.pending:
            self.pending.remove(publisher)
        before, self.publisher = self.publisher, publisher
        self.publisher_changes += 1
        log.info(
            "publisher on air",
            extra={"stream": self.name, "session": publisher.id[:8], "subject": publisher.subject},
        )
        if before is not None and before.closed_reason is None:
            self.retiring[before.id] = (before, now_ms + RETIRE_MS)

    def _take_layers(self, kind: Kind) -> None:
        """Splice the track over to the layers that the publisher on the air sends now."""
        if self.publisher is None:
            return
        track = self.router.tracks[kind]
        sources = [s for s in self.publisher.sources.values() if s.kind == kind]
        layers = live_layers(sources, track.layers)
        if layers and layers != track.layers:
            self.router.set_layers(kind, layers)

    def _retire_unused(self) -> None:
        """Let replaced feeds go from which no viewer is fed any more."""
        video = self.router.tracks["video"]
        for feed, _ in list(self.retiring.values()):
            if not video.uses({s.number for s in feed.sources.values()}):
                feed.end(CloseReason.REPLACED)

    def _on_feed_closed(self, publisher: Feed, reason: CloseReason) -> None:
        self.retiring.pop(publisher.id, None)
        self._past_drops.update(publisher.ingest.drops)
        if publisher in self.pending:
            self.pending.remove(publisher)
        if publisher is self.publisher:
            self.publisher = self._restore_retiring()
            log.info(
                "publisher left",
                extra={"stream": self.name, "session": publisher.id[:8], "reason": str(reason)},
            )
            if self.publisher is None:
                self._tell(self.on_air.publisher_left(self._port.now_ms()))

    def _restore_retiring(self) -> Feed | None:
        """The newcomer died before it was seen: the one it was to replace stays."""
        if not self.retiring:
            return None
        _, (publisher, _) = self.retiring.popitem()
        return publisher

    def retire(self, feed: Feed, now_ms: float) -> None:
        """Let a feed go at the next key frame of the one on the air, or soon in any case."""
        if feed.closed_reason is None and feed is not self.publisher:
            self.retiring.setdefault(feed.id, (feed, now_ms + RETIRE_MS))

    def forget(self, feed: Feed) -> None:
        """A feed that ended before anything came from it."""
        if feed in self.pending:
            self.pending.remove(feed)

    def session(self, session_id: str) -> Publisher | ViewerSession | None:
        """A live session by its id."""
        viewer = self.viewers.get(session_id)
        if viewer is not None:
            return viewer
        feeds = (f for f in self.feeds() if isinstance(f, Publisher))
        return next((p for p in feeds if p.id == session_id), None)

    def feeds(self) -> list[Feed]:
        """On the air, coming up and going."""
        on_air = [self.publisher] if self.publisher is not None else []
        return [*on_air, *self.pending, *(p for p, _ in self.retiring.values())]

    def ingest_drops(self) -> Counter[DropReason]:
        """Packets of publishers that were dropped, since the start."""
        drops = self._past_drops.copy()
        for publisher in self.feeds():
            drops.update(publisher.ingest.drops)
        return drops

    # -- viewers

    def downstream(self) -> tuple[str, ...]:
        """Ids of the relays that hang on us, and on them."""
        return tuple(dict.fromkeys(i for v in self.viewers.values() for i in v.grant.path))

    def add_viewer(self, viewer: ViewerSession) -> None:
        """A viewer whose answer is being made."""
        viewer.lanes = self.router.add_viewer(viewer.id, viewer.peer.index, viewer.negotiation)
        self.viewers[viewer.id] = viewer
        self._pin(viewer)

    def _on_viewer_connected(self, viewer: ViewerSession) -> None:
        if viewer.lanes is None:
            return
        now_ms = self._port.now_ms()
        relay = viewer.grant.scope == "relay"
        key = viewer.commune if viewer.grant.scope == "view" else None
        self.router.start_viewer(viewer.lanes, now_ms, line_key=key, limited=not relay)
        self._send(self.router.poll(now_ms))
        self.ask_for_keyframes(now_ms)
        self.join_ms.observe(now_ms - viewer.created_ms)
        self._tell_viewer_count()
        self._wake(self.next_deadline_ms())

    def _on_viewer_rtcp(self, viewer: ViewerSession, data: bytes, now_ms: float) -> None:
        if viewer.lanes is not None:
            self._send(self.router.on_viewer_rtcp(viewer.lanes, data, now_ms))
            self.ask_for_keyframes(now_ms)
            self._wake(self.next_deadline_ms())

    def _on_viewer_overflow(self, viewer: ViewerSession) -> None:
        if viewer.lanes is not None:
            self.router.on_overflow(viewer.lanes, self._port.now_ms())

    def _on_viewer_wish(self, viewer: ViewerSession, request: LayerRequest) -> None:
        if viewer.lanes is None or viewer.grant.scope == "relay":
            return
        given = request.given
        self.router.change_wish(
            viewer.lanes,
            lambda wish: replace(
                wish,
                rid=request.rid if "encodingId" in given else wish.rid,
                max_width=request.max_width if "maxWidth" in given else wish.max_width,
                max_height=request.max_height if "maxHeight" in given else wish.max_height,
            ),
            self._port.now_ms(),
        )

    def pin(self, commune: str, rid: str | None) -> int:
        """An operator's choice of layer for a commune, None takes it back. Of how many viewers."""
        if rid is None:
            self.pins.pop(commune, None)
        else:
            self.pins[commune] = rid
        viewers = [v for v in self.viewers.values() if v.commune == commune]
        for viewer in viewers:
            self._pin(viewer)
        return len(viewers)

    def _pin(self, viewer: ViewerSession) -> None:
        rid = self.pins.get(viewer.commune)
        if viewer.lanes is not None and viewer.grant.scope != "relay":
            self.router.change_wish(
                viewer.lanes, lambda wish: replace(wish, pinned_rid=rid), self._port.now_ms()
            )

    def _on_viewer_closed(self, viewer: ViewerSession, reason: CloseReason) -> None:
        if viewer.lanes is not None:
            self.router.remove_viewer(viewer.lanes, self._port.now_ms())
        self.viewers.pop(viewer.id, None)
        self._events.session_closed(viewer.id)
        self._tell_viewer_count()

    # -- time

    def poll(self, now_ms: float) -> None:
        """What is due within milliseconds: join bursts, key-frame requests, NACKs upstream."""
        self._send(self.router.poll(now_ms))
        self.ask_for_keyframes(now_ms)
        if self.publisher is not None:
            self.publisher.flush_rtcp(now_ms)

    def poll_slowly(self, now_ms: float) -> None:
        """Some ten times a second: reports, silence, linter."""
        self._tell(self.on_air.poll(now_ms))
        self._take_layers("video")
        for viewer_id, status in self.router.decide_lines(now_ms):
            self._events.session_event(viewer_id, "line", status.event())
        self.router.ask_for_waiting(now_ms)
        for publisher in self.feeds():
            publisher.poll(now_ms)
        for publisher, deadline_ms in list(self.retiring.values()):
            if now_ms >= deadline_ms:
                publisher.end(CloseReason.REPLACED)
        self._measure_rates(now_ms)
        ntp_seconds = time.time() + NTP_EPOCH_OFFSET_S
        for lanes, compound in self.router.take_sender_reports(now_ms, ntp_seconds):
            viewer = self.viewers.get(lanes.id)
            if viewer is not None:
                viewer.peer.send_rtcp(compound)
        self._show_life(now_ms)

    def _show_life(self, now_ms: float) -> None:
        """Without media, RTCP tells viewers that it is the publisher who is silent and not us."""
        silent_ms = now_ms - self.on_air.last_media_ms
        if silent_ms < LIFE_SILENCE_MS or now_ms - self._life_ms < LIFE_INTERVAL_MS:
            return
        self._life_ms = now_ms
        for viewer in self.viewers.values():
            if viewer.connected_ms is not None and viewer.lanes is not None:
                viewer.peer.send_rtcp(self.router.empty_report(viewer.lanes))

    def _measure_rates(self, now_ms: float) -> None:
        if now_ms - self._rates_ms < RATE_INTERVAL_MS:
            return
        for viewer in self.viewers.values():
            if viewer.lanes is not None:
                viewer.measure(self.router.sent_of(viewer.lanes), now_ms)
        self._rates_ms = now_ms

    def next_deadline_ms(self) -> float:
        """When `poll` has work."""
        deadline = self.router.next_deadline_ms()
        if self.publisher is not None:
            deadline = min(deadline, self.publisher.ingest.next_deadline_ms())
        return deadline

    def ask_for_keyframes(self, now_ms: float) -> None:
        """Pass on key-frame requests that are allowed now."""
        if self.publisher is None:
            return
        for source in self.router.take_keyframe_requests(now_ms):
            self.publisher.request_keyframe(source, now_ms)

    def close(self) -> None:
        """End every session."""
        for feed in self.feeds():
            feed.end(CloseReason.SHUTDOWN)
        for viewer in list(self.viewers.values()):
            viewer.peer.close(CloseReason.SHUTDOWN)

    def _send(self, batches: Iterable[SendBatch]) -> None:
        for batch in batches:
            self._port.send_batch(batch)

    def _tell(self, event: str | None) -> None:
        if event is not None:
            log.info("stream %s", event, extra={"stream": self.name})
            self._events.stream_event(self.name, event, {})

    def _tell_viewer_count(self) -> None:
        count = sum(
            1
            for v in self.viewers.values()
            if v.connected_ms is not None and v.grant.scope != "relay"
        )
        self._events.stream_event(self.name, "viewercount", {"viewercount": count})
