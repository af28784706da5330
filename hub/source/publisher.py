"""Publishes a feed to a WHIP URL and keeps it there: the shell over feed, sender and client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import aiohttp

from hub.source.ladder import PLANS
from hub.source.media_sender import MediaSender
from hub.source.pacer import Pacer
from hub.source.receiver_watch import ReceiverWatch
from hub.source.rtp_sender import Outgoing
from hub.source.runner import FeedRunner
from hub.source.units import Feed
from relay.client.backoff import Backoff
from relay.client.errors import ClientError, MediaTimeoutError
from relay.client.http_session import DEFAULT_TIMEOUT_S
from relay.client.reconnect import Connector
from relay.client.whip_client import WhipClient
from relay.transport.port import MediaPort

REPORT_INTERVAL_S = 1.0
LOOK_S = 0.1
ANSWER_S = 0.5
LONE_ANSWER_S = 2.0
PATH_S = 3.0
STEADY_S = 3.0
RETRY_BASE_S, RETRY_CAP_S = 0.1, 1.0
GOODBYE_S = 2.0

State = Literal["connecting", "live", "waiting", "stopped"]


@dataclass
class PublishStatus:
    """What a status line shows. Rates are those of the last interval.

    error: why it waits, a sentence. retry_in_s: seconds to the next try. url: where it is live.
    layers: of the picture, as the server takes them.
    last_gap_ms: of the last loss, from the receiver's last sign of life to being live again.
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
    layers: int = 0
    error: str | None = None
    retry_in_s: float | None = None
    url: str = ""
    last_gap_ms: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Place:
    """Where to try next. first: the URL whose refusal is final."""

    url: str
    timeout_s: float
    first: bool


class LivePublisher:
    """`await LivePublisher(...).run()` publishes until the feed ends or it is cancelled.

    url, token: where and as whom; of several URLs the next one is tried when one fails.
    http: with the caller's TLS settings. full_bps: the video rate on a good line.
    on_status: called at least once a second and at each change of state.
    Raises ClientError if the server refuses for good, and whatever the feed raises.
    """

    def __init__(
        self,
        feed: Feed,
        url: str | Sequence[str],
        token: str | None,
        *,
        http: aiohttp.ClientSession,
        full_bps: int = 2_500_000,
        on_status: Callable[[PublishStatus], None] | None = None,
    ) -> None:
        self._feed = feed
        self._urls = (url,) if isinstance(url, str) else tuple(url)
        self._token = token
        self._http = http
        self._full_bps = full_bps
        self._on_status = on_status or (lambda status: None)
        self._runner = FeedRunner(feed)
        self._client: WhipClient | None = None
        self._sender: MediaSender | None = None
        self._pacer = Pacer(self._send)
        self._watch = ReceiverWatch(0.0)
        self._lost_ms: float | None = None
        self._silent_url = ""
        self._ports: dict[WhipClient, MediaPort] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._frames = 0
        self.status = PublishStatus()

    async def run(self) -> None:
        async with self._runner:
            pump = asyncio.create_task(self._pump(), name="pump")
            others = [
                asyncio.create_task(self._pacer.run(), name="pacer"),
                asyncio.create_task(self._watch_status(), name="status"),
                asyncio.create_task(self._keep_on_air(), name="session"),
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
                self._frames += unit.layer == 0
                if packets and not self._pacer.push(packets):
                    self._feed.request_keyframe(unit.layer)

    def _send(self, outgoing: Outgoing) -> None:
        # A packet may outlive its connection in the pacer.
        if self._client is None or self._sender is None:
            return
        key = outgoing.sender.kind, outgoing.sender.layer
        if self._sender.senders.get(key) is outgoing.sender:
            now_ms = time.monotonic() * 1000
            self._client.send_rtp(outgoing.sender.build(outgoing, now_ms))
            self._watch.on_sent(now_ms)

    async def _keep_on_air(self) -> None:
        """Connect, stay, come back; ends only with an error or by cancellation."""
        backoff = Backoff(base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        short_lived = 0
        connector = Connector(
            self._connect,
            patience_s=lambda place: place.timeout_s,
            discard=lambda found: self._let_go(found[0]),
            backoff=backoff,
            on_wait=self._on_wait,
        )
        try:
            while True:
                client, place = await connector.connect(self._round)
                self._begin(client, place)
                began_s = time.monotonic()
                try:
                    await self._stay(client)
                finally:
                    self._let_go(client)
                steady = time.monotonic() - began_s >= STEADY_S
                short_lived = 0 if steady else short_lived + 1
                if steady:
                    backoff.succeeded()
                if short_lived > 1:
                    delay_s = backoff.failed()
                    self._on_wait(ClientError("the connection was lost"), delay_s)
                    await asyncio.sleep(delay_s)
        finally:
            if self._goodbyes:
                await asyncio.wait(self._goodbyes, timeout=GOODBYE_S)

    def _round(self, failed: int) -> list[_Place]:
        """Every URL once; who has another one to ask does not wait long for an answer."""
        patience_s = ANSWER_S if len(self._urls) > 1 else LONE_ANSWER_S
        timeout_s = min(DEFAULT_TIMEOUT_S, patience_s * 2.0 ** min(failed, 10))
        if not self.status.sessions and len(self._urls) == 1:
            timeout_s = DEFAULT_TIMEOUT_S
        places = [_Place(url, timeout_s, index == 0) for index, url in enumerate(self._urls)]
        # Who has just fallen silent would only let us wait.
        return sorted(places, key=lambda place: place.url == self._silent_url)

    async def _connect(self, place: _Place, alone: asyncio.Event) -> tuple[WhipClient, _Place]:
        """A client whose path is up. Raises ClientError."""
        # A publisher has one session: beside this place no other is asked.
        alone.set()
        self._change("connecting")
        port = await MediaPort.open(port=0)
        client = WhipClient(
            port,
            self._http,
            place.url,
            self._token,
            self,
            video=self._feed.codec if self._feed.has_video else None,
            audio=self._feed.has_audio,
            rids=[plan.rid for plan in PLANS[self._feed.layers]],
            timeout_s=place.timeout_s,
        )
        self._ports[client] = port
        try:
            async with asyncio.timeout(2 * place.timeout_s + PATH_S):
                await client.connect()
        except BaseException as error:
            self._let_go(client)
            if isinstance(error, TimeoutError):
                raise MediaTimeoutError("no media path comes up in time") from None
            if isinstance(error, ClientError) and not error.retryable and not place.first:
                # Only the first URL can refuse for good.
                raise ClientError(error.detail, status=error.status) from error
            raise
        return client, place

    def _begin(self, client: WhipClient, place: _Place) -> None:
        now_ms = time.monotonic() * 1000
        self._sender = MediaSender(
            self._feed,
            client.negotiation,
            client.ssrcs,
            full_bps=self._full_bps,
            now_ms=now_ms,
            layers=client.layers,
        )
        self._client = client
        self._watch = ReceiverWatch(now_ms)
        self._feed.set_bitrate(self._full_bps)
        self._feed.request_keyframe()
        if self._lost_ms is not None:
            self.status.last_gap_ms = round(now_ms - self._lost_ms, 1)
        self._silent_url = ""
        self.status.url = place.url
        self.status.sessions += 1
        senders = self._sender.senders.values()
        self.status.codec = " + ".join(dict.fromkeys(s.codec.name for s in senders))
        self.status.layers = sum(s.kind == "video" for s in senders)
        self._change("live")

    async def _stay(self, client: WhipClient) -> None:
        """Sender reports until the connection is lost."""
        report_s = float("-inf")
        while not self._watch.is_lost(time.monotonic() * 1000):
            now_s = time.monotonic()
            if self._sender is not None and now_s - report_s >= REPORT_INTERVAL_S:
                report_s = now_s
                for report in self._sender.reports(time.time(), self._runner.clock.now_s()):
                    client.send_rtcp(report)
            if await client.wait_closed(timeout_s=LOOK_S):
                return
        self._silent_url = self.status.url

    def _let_go(self, client: WhipClient) -> None:
        """Say goodbye behind the back of the next attempt: a dead server does not answer."""
        if client is self._client:
            sender, self._client, self._sender = self._sender, None, None
            self._lost_ms = self._watch.last_sign_ms
            goodbye = sender.goodbye() if sender is not None else None
            if goodbye is not None and client.connected:
                client.send_rtcp(goodbye)
        task = asyncio.create_task(self._say_goodbye(client))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def _say_goodbye(self, client: WhipClient) -> None:
        try:
            # The server frees the slot by itself too.
            with suppress(ClientError):
                await client.close()
        finally:
            await self._ports.pop(client).close()

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """A WHIP server sends no media; what comes anyway is let fall."""

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Feedback from the server."""
        self._watch.on_sign(time.monotonic() * 1000)
        if self._sender is not None and self._client is not None:
            self._sender.on_rtcp(packet, time.time(), now_ms, self._client.send_rtp)

    def _on_wait(self, error: ClientError, delay_s: float) -> None:
        self._silent_url = ""
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
