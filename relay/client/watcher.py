"""A viewer without a screen that keeps watching: joins, measures, reports, comes back.

It trusts packets, not connection states: 1.5 s without any is a lost session, whatever ICE says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from relay.client.backoff import Backoff
from relay.client.errors import ClientError
from relay.client.header_stats import HeaderStats
from relay.client.reception import ViewerReception
from relay.client.reconnect import keep_connected
from relay.client.viewer_figures import FROZEN_MS, ViewerFigures
from relay.core.negotiation import PublisherNegotiation

SILENCE_MS = 1500.0
FIRST_MEDIA_MS = 5000.0
"""A session that brings nothing for this long after its connection is given up."""
REPORT_MS = 1000.0
MIN_INTERVAL_S = 0.3
"""Rates over less than this say nothing; the last ones stay."""


class ViewerSession(Protocol):
    """One WHEP session of a watcher: a WhepClient, or a crowd's cheap socket."""

    negotiation: PublisherNegotiation

    @property
    def rtt_ms(self) -> float | None: ...

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    def send_rtcp(self, packet: bytes) -> None: ...


class Watcher:
    """Call `run` as a task and `tick` a few times a second.

    open_session: makes a session that feeds this watcher; awaited for each attempt. repairs: ask
    for what is missing (NACK). on_media: clear packets for a decoder.
    """

    def __init__(
        self,
        name: str,
        open_session: Callable[[Watcher], Coroutine[Any, Any, ViewerSession]],
        *,
        repairs: bool = True,
        on_media: Callable[[list[bytes], float], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.figures = ViewerFigures(name)
        self.reception: ViewerReception | None = None
        self._open_session = open_session
        self._repairs = repairs
        self._on_media = on_media
        self._backoff = backoff
        self._session: ViewerSession | None = None
        self._negotiation: PublisherNegotiation | None = None
        self._lost = asyncio.Event()
        self._posted_ms = 0.0
        self._live_since_ms = 0.0
        self._last_media_ms = 0.0
        self._last_report_ms = 0.0
        self._settled = ViewerFigures(name)
        self._rates = (0.0, 0, 0)

    async def run(self) -> None:
        """Watch until cancelled. Raises the ClientError that no retry can mend."""
        try:
            await keep_connected(self._one_session, backoff=self._backoff, on_wait=self._on_wait)
        except ClientError as error:
            self.figures.error = error.detail
            self.figures.state = "refused"
            raise

    async def _one_session(self) -> None:
        self.figures.state = "connecting"
        self._lost.clear()
        self._posted_ms = _now_ms()
        session = await self._open_session(self)
        try:
            await session.connect()
            self._session = session
            self._live_since_ms = _now_ms()
            if self.reception is None:
                self.begin(session.negotiation)
            self.figures.state = "live"
            self.figures.error = None
            self.figures.sessions += 1
            await self._lost.wait()
        finally:
            self._settle()
            # The server expires what it cannot be told about.
            with suppress(ClientError):
                await session.close()

    @property
    def negotiation(self) -> PublisherNegotiation | None:
        """Of the present session."""
        return self._negotiation

    def begin(self, negotiation: PublisherNegotiation) -> None:
        """The session's answer is there: packets may come from now on."""
        self._negotiation = negotiation
        self.reception = ViewerReception(negotiation)

    def on_lost(self) -> None:
        """The session's transport has ended."""
        self._lost.set()

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """Clear packets of one batch."""
        reception = self.reception
        if reception is None:
            return
        self.on_arrival(now_ms)
        reception.on_clear(packets, now_ms)
        if self._repairs and self._session is not None:
            nacks = reception.nacks(now_ms)
            if nacks is not None:
                self._session.send_rtcp(nacks)
        if self._on_media is not None:
            self._on_media(packets, now_ms)

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """A clear compound packet."""
        if self.reception is not None:
            self.reception.on_rtcp(packet, now_ms)

    def on_arrival(self, now_ms: float) -> None:
        """Media has come: joins and gaps are measured here."""
        figures = self.figures
        if figures.join_ms is None:
            figures.join_ms = round(now_ms - self._posted_ms, 1)
        elif self._last_media_ms:
            gap = now_ms - self._last_media_ms
            if gap > figures.longest_gap_ms:
                figures.longest_gap_ms = round(gap, 1)
            if gap > SILENCE_MS:
                figures.gaps += 1
        self._last_media_ms = now_ms

    def tick(self, now_ms: float) -> None:
        """Reports that are due, and the verdict on silence."""
        if self._session is None or self.reception is None:
            return
        if now_ms - self._last_report_ms >= REPORT_MS:
            self._last_report_ms = now_ms
            self._session.send_rtcp(self.reception.report(now_ms))
        if self._last_media_ms >= self._live_since_ms:
            silent = now_ms - self._last_media_ms > SILENCE_MS
        else:
            silent = now_ms - self._live_since_ms > FIRST_MEDIA_MS
        if silent:
            self.figures.error = "no packets"
            self._lost.set()

    def measure(self, now_ms: float) -> ViewerFigures:
        """Figures up to now; rates are of the last interval between calls."""
        figures = self.figures
        self._sum_up(figures)
        at, octets, frames = self._rates
        elapsed_s = (now_ms - at) / 1000
        if elapsed_s >= MIN_INTERVAL_S:
            if at:
                figures.bitrate_bps = round((figures.bytes - octets) * 8 / elapsed_s)
                figures.fps = round((figures.frames - frames) / elapsed_s, 1)
            self._rates = (now_ms, figures.bytes, figures.frames)
        video = self._video()
        figures.frozen = video is None or now_ms - video.last_frame_ms > FROZEN_MS
        if video is not None:
            figures.jitter_ms = round(video.jitter_ms, 2)
        if self._session is not None and self._session.rtt_ms is not None:
            figures.rtt_ms = round(self._session.rtt_ms, 1)
        return figures

    def _video(self) -> HeaderStats | None:
        if self.reception is None:
            return None
        return self.reception.stats("video") or self.reception.stats("audio")

    def _sum_up(self, into: ViewerFigures) -> None:
        """What former sessions settled, plus this one."""
        settled, streams = self._settled, []
        if self.reception is not None:
            streams = self.reception.all_stats()
            into.bytes = settled.bytes + self.reception.wire_bytes
        video = self._video()
        into.packets = settled.packets + sum(s.received for s in streams)
        into.lost = settled.lost + sum(s.lost for s in streams)
        into.expected = settled.expected + sum(s.expected for s in streams)
        into.repaired = settled.repaired + sum(s.repaired for s in streams)
        into.out_of_order = settled.out_of_order + sum(s.out_of_order for s in streams)
        into.duplicates = settled.duplicates + sum(s.duplicates for s in streams)
        into.frames = settled.frames + (video.frames if video else 0)

    def _settle(self) -> None:
        self._session = None
        self._sum_up(self.figures)
        self._sum_up(self._settled)
        self.reception = None

    def _on_wait(self, error: ClientError, delay_s: float) -> None:
        self.figures.state = "waiting"
        self.figures.error = error.detail


def _now_ms() -> float:
    return time.monotonic() * 1000
