"""Publishes a feed to a WHIP URL and keeps it there: the shell over feed, sender and client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import aiohttp

from hub.source.media_sender import MediaSender
from hub.source.pacer import Pacer
from hub.source.rtp_sender import Outgoing
from hub.source.runner import FeedRunner
from hub.source.units import Feed
from relay.client.errors import ClientError
from relay.client.reconnect import keep_connected
from relay.client.whip_client import WhipClient
from relay.transport.port import MediaPort

REPORT_INTERVAL_S = 1.0
SILENT_RECEIVER_S = 5.0
"""A receiver reports every second; one that has been silent for this long is gone."""

State = Literal["connecting", "live", "waiting", "stopped"]


@dataclass
class PublishStatus:
    """What a status line shows. Rates are those of the last interval.

    error: why it waits, a sentence. retry_in_s: seconds to the next try.
    """

    state: State = "connecting"
    bitrate_bps: int = 0
    target_bps: int = 0
    fps: float = 0.0
    rtt_ms: float | None = None
    loss: float = 0.0
    keyframes_asked: int = 0
    retransmitted: int = 0
    sessions: int = 0
    codec: str = ""
    error: str | None = None
    retry_in_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class LivePublisher:
    """`await LivePublisher(...).run()` publishes until the feed ends or it is cancelled.

    url, token: where and as whom. http: with the caller's TLS settings. full_bps: the video rate
    on a good line. on_status: called at least once a second and at each change of state.
    Raises ClientError if the server refuses for good, and whatever the feed raises.
    """

    def __init__(
        self,
        feed: Feed,
        url: str,
        token: str | None,
        *,
        http: aiohttp.ClientSession,
        full_bps: int = 2_500_000,
        on_status: Callable[[PublishStatus], None] | None = None,
    ) -> None:
        self._feed = feed
        self._url = url
        self._token = token
        self._http = http
        self._full_bps = full_bps
        self._on_status = on_status or (lambda status: None)
        self._runner = FeedRunner(feed)
        self._client: WhipClient | None = None
        self._sender: MediaSender | None = None
        self._pacer = Pacer(self._send)
        self._last_rtcp_s = 0.0
        self._frames = 0
        self.status = PublishStatus()

    async def run(self) -> None:
        async with self._runner:
            pump = asyncio.create_task(self._pump(), name="pump")
            others = [
                asyncio.create_task(self._pacer.run(), name="pacer"),
                asyncio.create_task(self._watch_status(), name="status"),
                asyncio.create_task(
                    keep_connected(self._session, on_wait=self._on_wait), name="session"
                ),
            ]
            try:
                done, _ = await asyncio.wait([pump, *others], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (pump, *others):
                    task.cancel()
                await asyncio.gather(pump, *others, return_exceptions=True)
                self._change("stopped")

    async def _pump(self) -> None:
        """Units from the feed to the connection; without one they are dropped, time goes on."""
        while (unit := await self._runner.next()) is not None:
            if self._sender is None:
                continue
            packets = self._sender.packetize(unit)
            if unit.kind == "audio":
                for packet in packets:
                    self._send(packet)
            else:
                self._frames += 1
                if not self._pacer.push(packets):
                    self._feed.request_keyframe()

    def _send(self, outgoing: Outgoing) -> None:
        # A packet may outlive its connection in the pacer.
        if self._client is None or self._sender is None:
            return
        if self._sender.senders.get(outgoing.sender.kind) is outgoing.sender:
            self._client.send_rtp(outgoing.sender.build(outgoing, time.monotonic() * 1000))

    async def _session(self) -> None:
        """One connection, from POST to its loss."""
        self._change("connecting")
        port = await MediaPort.open(port=0)
        client = WhipClient(
            port,
            self._http,
            self._url,
            self._token,
            self,
            video=self._feed.codec if self._feed.has_video else None,
            audio=self._feed.has_audio,
        )
        try:
            await client.connect()
            self._begin(client)
            await self._stay(client)
        finally:
            await self._end(client)
            await port.close()

    def _begin(self, client: WhipClient) -> None:
        self._sender = MediaSender(
            self._feed,
            client.negotiation,
            client.ssrcs,
            full_bps=self._full_bps,
            now_ms=time.monotonic() * 1000,
        )
        self._client = client
        self._last_rtcp_s = time.monotonic()
        self._feed.set_bitrate(self._full_bps)
        self._feed.request_keyframe()
        self.status.sessions += 1
        self.status.codec = " + ".join(s.codec.name for s in self._sender.senders.values())
        self._change("live")

    async def _stay(self, client: WhipClient) -> None:
        """Sender reports until the connection is lost."""
        while time.monotonic() - self._last_rtcp_s < SILENT_RECEIVER_S:
            if self._sender is not None:
                for report in self._sender.reports(time.time(), self._runner.clock.now_s()):
                    client.send_rtcp(report)
            if await client.wait_closed(timeout_s=REPORT_INTERVAL_S):
                return

    async def _end(self, client: WhipClient) -> None:
        sender, self._client, self._sender = self._sender, None, None
        goodbye = sender.goodbye() if sender is not None else None
        if goodbye is not None and client.connected:
            client.send_rtcp(goodbye)
        # The server frees the slot by itself too; a failed DELETE must not hide the real reason.
        with suppress(ClientError):
            await client.close()

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """A WHIP server sends no media; what comes anyway is let fall."""

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Feedback from the server."""
        self._last_rtcp_s = time.monotonic()
        if self._sender is not None and self._client is not None:
            self._sender.on_rtcp(packet, time.time(), now_ms, self._client.send_rtp)

    def _on_wait(self, error: ClientError, delay_s: float) -> None:
        self.status.error = error.detail
        self.status.retry_in_s = round(delay_s, 2)
        self._change("waiting")

    def _change(self, state: State) -> None:
        self.status.state = state
        if state == "live":
            self.status.error = self.status.retry_in_s = None
        self._on_status(self.status)

    async def _watch_status(self) -> None:
        """Rates over each second."""
        sent, at, frames, of = 0, time.monotonic(), 0, self._sender
        while True:
            await asyncio.sleep(1.0)
            now, sender = time.monotonic(), self._sender
            total = sum(s.bytes_sent for s in sender.senders.values()) if sender else 0
            if sender is not of:
                sent, of = 0, sender
            self.status.bitrate_bps = round((total - sent) * 8 / (now - at))
            self.status.fps = round((self._frames - frames) / (now - at), 1)
            sent, at, frames = total, now, self._frames
            if sender is not None:
                self._copy_feedback(sender)
            self._on_status(self.status)

    def _copy_feedback(self, sender: MediaSender) -> None:
        self.status.rtt_ms = None if sender.rtt_ms is None else round(sender.rtt_ms, 1)
        self.status.loss = round(sender.loss, 4)
        self.status.target_bps = sender.target_bps
        self.status.keyframes_asked = sender.keyframes_asked
        self.status.retransmitted = sum(s.retransmitted for s in sender.senders.values())
