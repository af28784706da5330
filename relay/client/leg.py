"""One session as its viewer sees it: reception, signs of life, events, why it ended.

A viewer has one leg, and two while it moves from one node to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Protocol

from yarl import URL

from relay.client.errors import ClientError
from relay.client.liveness import Liveness, Loss
from relay.client.reception import ViewerReception
from relay.client.sse import ServerEvent
from relay.core.negotiation import PublisherNegotiation

REPORT_MS = 1000.0
PROBE_AFTER_MS = 200.0
PROBE_MS = 60.0
"""Reports in a silence make a dead node's machine say that nobody listens."""
EVENTS_RETRY_S = 1.0
MAX_EVENT_FAILURES = 3


class ViewerSession(Protocol):
    """One WHEP session of a leg: a WhepClient, or a crowd's cheap socket."""

    negotiation: PublisherNegotiation

    @property
    def rtt_ms(self) -> float | None: ...

    @property
    def origin(self) -> str:
        """Where the last request went."""

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    def send_rtcp(self, packet: bytes) -> None: ...

    def events(self) -> AsyncGenerator[ServerEvent, None]: ...


class LegOwner(Protocol):
    """The watcher."""

    def on_leg_media(self, leg: Leg, packets: Sequence[bytes], now_ms: float) -> None:
        """Media has come; `packets` are empty when they are not opened."""


class Leg:
    """What a session reports to. news: set when it is lost or told to move."""

    def __init__(self, owner: LegOwner, *, repairs: bool) -> None:
        self.session: ViewerSession | None = None
        self.negotiation: PublisherNegotiation | None = None
        self.reception: ViewerReception | None = None
        self.liveness: Liveness | None = None
        self.loss: Loss | None = None
        self.move_url: str | None = None
        """Where the node sends its viewer; "" leaves the choice to the viewer."""
        self.answered = asyncio.Event()
        self.news = asyncio.Event()
        self.lost = asyncio.Event()
        self.shows = False
        """Its picture has begun (its voice, if nothing else was agreed)."""
        self.dropped = False
        self._owner = owner
        self._repairs = repairs
        self._early_ms: float | None = None
        self._last_report_ms = 0.0
        self._last_probe_ms = 0.0

    # -- called by the session

    def begin(self, negotiation: PublisherNegotiation) -> None:
        """The session's answer is there: packets may come from now on."""
        self.negotiation = negotiation
        self.reception = ViewerReception(negotiation)
        self.answered.set()

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """Clear packets of one batch."""
        reception = self.reception
        if reception is None or self.dropped:
            return
        reception.on_clear(packets, now_ms)
        self.on_arrival(now_ms, packets)
        if self._repairs and self.session is not None:
            nacks = reception.nacks(now_ms)
            if nacks is not None:
                self.session.send_rtcp(nacks)

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """A clear compound packet."""
        if self.reception is not None:
            self.reception.on_rtcp(packet, now_ms)
            self.on_sign(now_ms)

    def on_arrival(self, now_ms: float, packets: Sequence[bytes] = ()) -> None:
        """Media has come, and the reception has seen it."""
        if self.dropped:
            return
        if self.liveness is None:
            self._early_ms = now_ms
        else:
            self.liveness.on_media(now_ms)
        if not self.shows:
            self.shows = self._has_picture()
        self._owner.on_leg_media(self, packets, now_ms)

    def on_sign(self, now_ms: float) -> None:
        """RTCP has come, opened or not."""
        if self.liveness is not None:
            self.liveness.on_sign(now_ms)

    def on_refused(self) -> None:
        """The system says that nobody listens at the node's port."""
        if self.liveness is not None and self.liveness.on_refused():
            self.lose(Loss.REFUSED)

    def on_lost(self) -> None:
        """The session's transport has ended."""
        self.lose(Loss.CLOSED)

    # -- called by the watcher

    @property
    def live(self) -> bool:
        """Its path is up and it is not given up."""
        return self.liveness is not None and self.loss is None and not self.dropped

    def connected(self, session: ViewerSession, now_ms: float) -> None:
        """The path is up."""
        if self.reception is None:
            self.begin(session.negotiation)
        self.liveness = Liveness(now_ms)
        if self._early_ms is not None:
            # Media came before whoever opened the session heard that it is up.
            self.liveness.on_media(self._early_ms)

    def lose(self, loss: Loss) -> None:
        """Give it up; the first reason stands."""
        if self.loss is None:
            self.loss = loss
        self.lost.set()
        self.news.set()

    def judge(self, now_ms: float) -> None:
        """Look whether it is lost; ask more often while it is silent."""
        if self.liveness is None or self.loss is not None:
            return
        loss = self.liveness.judge(now_ms)
        if loss is not None:
            self.lose(loss)
            return
        silent = self.liveness.silent_ms(now_ms) > PROBE_AFTER_MS
        if silent and now_ms - self._last_probe_ms >= PROBE_MS:
            self._last_probe_ms = now_ms
            self._report(now_ms)

    def report(self, now_ms: float) -> None:
        """A receiver report if one is due."""
        if now_ms - self._last_report_ms >= REPORT_MS:
            self._last_report_ms = now_ms
            self._report(now_ms)

    async def follow_events(self) -> None:
        """Until told to move, or the node ends the stream of events for good."""
        session, liveness = self.session, self.liveness
        if session is None or liveness is None:
            return
        failures = 0
        opened = False
        while self.live and failures < MAX_EVENT_FAILURES:
            try:
                async for event in session.events():
                    opened, failures = True, 0
                    liveness.events_broke = False
                    self._on_event(event, session.origin)
                if not opened:
                    return
            except ClientError:
                pass
            # The end says nothing by itself: a proxy may have cut it. Silence decides.
            liveness.events_broke = opened
            failures += 1
            await asyncio.sleep(EVENTS_RETRY_S)

    # -- inside

    def _on_event(self, event: ServerEvent, origin: str) -> None:
        if self.liveness is not None and event.name in ("active", "inactive"):
            self.liveness.inactive = event.name == "inactive"
        if event.name != "reconnect":
            return
        url = event.data.get("url") if isinstance(event.data, dict) else None
        # Without a URL that can be used, the usual places are tried.
        self.move_url = ""
        if isinstance(url, str) and url:
            with suppress(ValueError):
                self.move_url = str(URL(origin).join(URL(url)))
        self.news.set()

    def _has_picture(self) -> bool:
        if self.reception is None or self.negotiation is None:
            return False
        if any(media.kind == "video" and media.codecs for media in self.negotiation.media):
            return self.reception.stats("video") is not None
        return True

    def _report(self, now_ms: float) -> None:
        if self.session is not None and self.reception is not None:
            self.session.send_rtcp(self.reception.report(now_ms))
