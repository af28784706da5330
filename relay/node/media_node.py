"""The media node: one port, its streams and sessions. Composition root of a media process."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence

from relay.core import line_check
from relay.core.arena import PacketArena
from relay.core.negotiation import CodecParameters
from relay.node.config import MediaNodeConfig
from relay.node.line_checks import LineChecks
from relay.node.loop_lag import LoopLag
from relay.node.publisher import Publisher
from relay.node.pull import Pull, PullSettings
from relay.node.session import IceCredentials
from relay.node.snapshot import NodeSnapshot, UpstreamSnapshot, snapshot_of
from relay.node.stream import Stream
from relay.node.viewer import ViewerSession
from relay.signalling.answer import OfferRefused
from relay.signalling.answer_publisher import PublisherPolicy, answer_publisher
from relay.signalling.answer_viewer import answer_viewer
from relay.signalling.events import EventHub
from relay.signalling.node_protocol import Accepted, Grant, Refused
from relay.signalling.offer import LocalTransport, Offer
from relay.transport.parameters import CloseReason
from relay.transport.port import MediaPort
from relay.transport.tcp_listener import TcpPorts

ARENA_ROWS = 2048
SLOW_TICK_MS = 100.0
MIN_TICK_MS = 1.0
MAX_PENDING_PUBLISHERS = 4
PULL_WAIT_S = 3.0
"""How long a viewer's POST waits for the upstream."""

log = logging.getLogger(__name__)


class MediaNode:
    """Implements `relay.signalling.node_protocol.SignallingNode` over one `MediaPort`."""

    def __init__(self, config: MediaNodeConfig, port: MediaPort, events: EventHub) -> None:
        self.config = config
        self.port = port
        self.events = events
        self.lag = LoopLag()
        self.refusals: Counter[str] = Counter()
        self.draining = False
        self.streams: dict[str, Stream] = {}
        self.pulls: dict[str, Pull] = {}
        self._arena = PacketArena(ARENA_ROWS)
        self._pull_settings: PullSettings | None = None
        self.add_streams(config.streams)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = float("inf")
        self._slow_due_ms = port.now_ms() + SLOW_TICK_MS
        self._closing = False
        self.line_checks = LineChecks(port)
        self.wake(self._next_deadline_ms())

    @classmethod
    async def open(cls, config: MediaNodeConfig, events: EventHub) -> MediaNode:
        """Bind the port and start. Raises OSError when the port cannot be bound."""
        port = await MediaPort.open(
            port=config.media_port,
            addresses=config.addresses or None,
            announced=config.announced,
            consent_timeout_ms=config.consent_timeout_ms,
            tcp=TcpPorts(config.tcp_port, config.tcp_extra_port) if config.tcp else None,
        )
        return cls(config, port, events)

    # -- SignallingNode

    async def publish(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """WHIP POST. Raises Refused: 404 no such stream, 409 the sitting publisher is alive,
        422 the offer cannot be served."""
        target = self._stream(stream)
        if not self.config.takes_publishers:
            detail = "This is a relay: publish to the hub or to an origin."
            raise self._refuse("not_an_origin", 403, detail, None)
        now_ms = self.port.now_ms()
        self._check_slot(target, grant, now_ms)
        credentials = IceCredentials()
        try:
            answer, negotiation, role = answer_publisher(
                offer, self._local_transport(credentials), PublisherPolicy()
            )
        except OfferRefused as error:
            raise self._refuse("offer", 422, str(error), None) from error
        publisher = Publisher(
            stream,
            grant,
            self.port,
            credentials,
            negotiation,
            now_ms=now_ms,
            local_ssrc=secrets.randbits(31) + 1,
            video_budget_bps=self.config.video_budget_bps,
            callbacks=target.feed_callbacks,
            next_source_number=target.router.next_source_number,
        )
        publisher.attach(offer, role, publisher)
        while len(target.pending) >= MAX_PENDING_PUBLISHERS:
            target.pending[0].end(CloseReason.REPLACED)
        target.pending.append(publisher)
        return self._opened(publisher, answer)

    async def view(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """WHEP POST. Raises Refused: 404 no such stream, 409 nothing on air, 422 no common
        codec, 429 too many of one commune, 503 the node is full."""
        if stream == line_check.STREAM:
            return self._check_line(offer, grant)
        target = self._stream(stream)
        self._check_loop(target, grant)
        self._check_room(grant)
        on_air = await self._codecs(target, grant)
        if grant.path:
            self._check_loop(target, grant)
        credentials = IceCredentials()
        try:
            answer, negotiation, role = answer_viewer(
                offer,
                self._local_transport(credentials),
                on_air,
                _random_ssrc,
                all_layers=grant.scope == "relay",
            )
        except OfferRefused as error:
            raise self._refuse("offer", 422, str(error), None) from error
        viewer = ViewerSession(
            stream,
            grant,
            self.port,
            credentials,
            negotiation,
            now_ms=self.port.now_ms(),
            callbacks=target.viewer_callbacks,
        )
        viewer.attach(offer, role, viewer)
        target.add_viewer(viewer)
        return self._opened(viewer, answer)

    def _check_line(self, offer: Offer, grant: Grant) -> Accepted:
        """A line check. Raises Refused: 422 no common codec, 503 others are under way."""
        watched = any(stream.viewers for stream in self.streams.values())
        self.line_checks.check_room(grant.subject, watched=watched)
        credentials = IceCredentials()
        try:
            answer, negotiation, role = answer_viewer(
                offer, self._local_transport(credentials), (), _random_ssrc
            )
        except OfferRefused as error:
            raise self._refuse("offer", 422, str(error), None) from error
        session = self.line_checks.open(grant, credentials, negotiation)
        session.attach(offer, role, session)
        return self._opened(session, answer)

    def session(self, session_id: str) -> Publisher | ViewerSession | None:
        """A live session by its id."""
        if session_id in self.line_checks.sessions:
            return self.line_checks.sessions[session_id]
        for stream in self.streams.values():
            found = stream.session(session_id)
            if found is not None:
                return found
        return None

    def snapshot(self) -> NodeSnapshot:
        """Everything an operator can see of this node."""
        return snapshot_of(self)

    def request_keyframes(self, stream: str) -> int:
        """Ask the publisher on air for a key frame; of how many video sources it was asked."""
        publisher = self.streams[stream].publisher if stream in self.streams else None
        if publisher is None:
            return 0
        videos = [s for s in publisher.sources.values() if s.kind == "video"]
        for source in videos:
            publisher.request_keyframe(source, self.port.now_ms())
        return len(videos)

    def pin_layer(self, commune: str, rid: str | None) -> int:
        """An operator's choice of layer for a commune; of how many viewers."""
        return sum(stream.pin(commune, rid) for stream in self.streams.values())

    def set_layer_pins(self, pins: Mapping[str, str]) -> None:
        """All choices of operators, by commune."""
        for commune in {*pins, *(c for s in self.streams.values() for c in s.pins)}:
            self.pin_layer(commune, pins.get(commune))

    def upstream_of(self, stream: str) -> UpstreamSnapshot | None:
        """Where a stream is pulled from."""
        return self.pulls[stream].snapshot() if stream in self.pulls else None

    def add_streams(self, names: Sequence[str]) -> None:
        """Serve these too."""
        for name in names:
            if name not in self.streams:
                stream = Stream(name, self.port, self._arena, self.events, self.wake)
                self.streams[name] = stream
                if self._pull_settings is not None:
                    self.pulls[name] = Pull(stream, self._pull_settings, self.port)

    def pull_from(self, settings: PullSettings) -> None:
        """Be a relay: what viewers want is pulled."""
        self._pull_settings = settings
        self.pulls = {n: Pull(stream, settings, self.port) for n, stream in self.streams.items()}

    def commune_viewers(self) -> int:
        """Viewers of communes, connected or coming up."""
        return sum(
            viewer.grant.scope != "relay"
            for stream in self.streams.values()
            for viewer in stream.viewers.values()
        )

    def keep_warm(self, streams: Sequence[str]) -> None:
        """Pull these without viewers."""
        for name, pull in self.pulls.items():
            pull.warm = name in streams

    # -- admission

    async def _codecs(self, stream: Stream, grant: Grant) -> list[CodecParameters]:
        """What is on the air; a relay pulls it first. Raises Refused."""
        on_air = stream.codecs_on_air()
        pull = self.pulls.get(stream.name)
        if not on_air and pull is not None and pull.possible:
            try:
                await pull.ready(grant.path, PULL_WAIT_S)
            except Refused as refusal:
                self.refusals[f"upstream_{refusal.status}"] += 1
                raise
            if self._closing:
                raise self._refuse("closing", 503, "This server is shutting down.")
            on_air = stream.codecs_on_air()
        if not on_air:
            raise self._refuse("not_on_air", 409, "Nothing is on the air on this stream yet.")
        return on_air

    def _check_loop(self, stream: Stream, grant: Grant) -> None:
        """A relay that would get from us what we get from it (docs/relay-tier.md, Loops)."""
        if self.config.id in grant.path:
            chain = " → ".join((*reversed(grant.path), self.config.id))
        elif set(grant.path) & set(stream.lineage):
            chain = " → ".join((*stream.lineage, self.config.id, grant.path[0]))
        else:
            return
        raise self._refuse("loop", 508, f"Relays would pull in a circle: {chain}.", None)

    def _stream(self, name: str) -> Stream:
        if self._closing:
            raise self._refuse("closing", 503, "This server is shutting down.")
        if self.draining:
            raise self._refuse("draining", 503, "This server sends its viewers elsewhere.")
        stream = self.streams.get(name)
        if stream is None:
            raise self._refuse("no_such_stream", 404, "There is no stream of this name.", None)
        return stream

    def _check_slot(self, stream: Stream, grant: Grant, now_ms: float) -> None:
        sitting = stream.sitting(now_ms, self.config.takeover_ms)
        if sitting is not None and sitting.subject != grant.subject:
            raise self._refuse(
                "publisher_alive",
                409,
                "Another publisher is live on this stream. It can be replaced once it has sent "
                f"nothing for {self.config.takeover_ms / 1000:g} s.",
            )

    def _check_room(self, grant: Grant) -> None:
        if grant.scope == "relay":
            return
        viewers = [
            v for s in self.streams.values() for v in s.viewers.values() if v.grant.scope != "relay"
        ]
        if len(viewers) >= self.config.max_viewers:
            raise self._refuse("node_full", 503, "This server has all the viewers it can carry.")
        mine = sum(1 for v in viewers if v.subject == grant.subject)
        if mine >= self.config.max_viewers_per_commune:
            raise self._refuse(
                "commune_full",
                429,
                f"This commune already has {mine} viewers, the most it may have at once.",
            )

    def _refuse(
        self, reason: str, status: int, detail: str, retry_after_s: int | None = -1
    ) -> Refused:
        self.refusals[reason] += 1
        return Refused(status, detail, self.config.retry_after_s if retry_after_s == -1 else None)

    def _local_transport(self, credentials: IceCredentials) -> LocalTransport:
        return LocalTransport(
            ice_ufrag=credentials.ufrag,
            ice_pwd=credentials.pwd,
            fingerprint=self.port.fingerprint,
            candidates=self.port.candidates,
        )

    def _opened(self, session: Publisher | ViewerSession, answer: str) -> Accepted:
        log.info(
            "%s opened",
            session.kind,
            extra={
                "stream": session.stream,
                "session": session.id[:8],
                "subject": session.subject,
            },
        )
        self.wake(self._next_deadline_ms())
        stream = self.streams.get(session.stream)
        lineage = (*(stream.lineage if stream is not None else ()), self.config.id)
        return Accepted(session.id, session.etag, answer, lineage)

    # -- time

    def wake(self, deadline_ms: float) -> None:
        """Something is due at `deadline_ms`, perhaps before the timer fires."""
        if self._closing:
            return
        deadline_ms = min(deadline_ms, self._slow_due_ms)
        if self._timer is not None:
            if deadline_ms >= self._timer_ms - MIN_TICK_MS:
                return
            self._timer.cancel()
        self._timer_ms = deadline_ms
        delay_ms = max(MIN_TICK_MS, deadline_ms - self.port.now_ms())
        self._timer = self._loop.call_later(delay_ms / 1000, self._tick)

    def _next_deadline_ms(self) -> float:
        return min((self._slow_due_ms, *(s.next_deadline_ms() for s in self.streams.values())))

    def _tick(self) -> None:
        self._timer = None
        now_ms = self.port.now_ms()
        for stream in self.streams.values():
            stream.poll(now_ms)
        if now_ms >= self._slow_due_ms:
            self.lag.observe(now_ms - self._slow_due_ms)
            self._slow_due_ms = now_ms + SLOW_TICK_MS
            for stream in self.streams.values():
                stream.poll_slowly(now_ms)
            for pull in self.pulls.values():
                pull.poll(now_ms)
        self.wake(self._next_deadline_ms())

    async def close(self) -> None:
        """End every session (viewers see DTLS close_notify at once) and free the port."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        await self.line_checks.close()
        await asyncio.gather(*(pull.close() for pull in self.pulls.values()))
        for stream in self.streams.values():
            stream.close()
        await self.port.close()


def _random_ssrc() -> int:
    return secrets.randbits(32) or 1
