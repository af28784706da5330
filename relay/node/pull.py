"""Keeps one stream coming from the first upstream that has it, for as long as somebody watches.

An upstream is judged by what arrives, not by its connections: RTP, or the RTCP that a node sends
while its publisher is silent. The feed before stays until the next one brings media, so a change of
upstream is a splice for viewers, who keep their session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

import aiohttp

from relay.client.backoff import Backoff
from relay.client.errors import ClientError
from relay.node.pull_feed import PullFeed
from relay.node.snapshot import UpstreamSnapshot
from relay.node.stream import Stream
from relay.node.upstreams import Upstreams
from relay.signalling.node_protocol import Refused
from relay.transport.parameters import CloseReason
from relay.transport.port import MediaPort

DEAD_MS = 1000.0
"""Neither RTP nor RTCP for so long: the upstream is gone."""
DEAD_AFTER_BREAK_MS = 350.0
"""The same when its event stream has broken too: a killed process."""
LOOK_S = 0.1
FIRST_MEDIA_S = 2.0
SILENT_MS = 500.0
SEARCH_MS = 400.0
MAX_SEARCH_MS = 3000.0
"""While the publisher is silent other upstreams are asked for the stream, ever more rarely."""
RETRY_BASE_S = 0.1
RETRY_CAP_S = 1.0
MAX_DEPTH = 8

log = logging.getLogger(__name__)


class PullState(StrEnum):
    """What an operator sees."""

    NONE = "none"
    CONNECTING = "connecting"
    LIVE = "live"
    SILENT = "silent"
    LOST = "lost"


@dataclass(frozen=True)
class PullSettings:
    """node_id: ours. token: relay token for upstreams. linger_ms: pulled on after the last viewer.
    http: carries the TLS settings."""

    node_id: str
    token: str
    upstreams: Upstreams
    http: aiohttp.ClientSession
    linger_ms: float = 15_000.0


class Pull:
    """One stream of a relay. warm: pull without viewers."""

    def __init__(self, stream: Stream, settings: PullSettings, port: MediaPort) -> None:
        self.warm = False
        self.failovers = 0
        self.refusal: Refused | None = None
        self._stream = stream
        self._settings = settings
        self._port = port
        self._task: asyncio.Task[None] | None = None
        self._feed: PullFeed | None = None
        self._url = ""
        self._state = PullState.NONE
        self._since_ms = port.now_ms()
        self._wanted_ms = float("-inf")
        self._waiting: list[tuple[str, ...]] = []
        self._turn = asyncio.Event()
        self._feeds: set[PullFeed] = set()
        self._received_before = 0
        self._said: dict[str, str] = {}

    @property
    def state(self) -> PullState:
        """Looks at the feed: live or silent."""
        if self._state != PullState.LIVE or self._feed is None:
            return self._state
        return PullState.SILENT if self._is_silent(self._feed) else PullState.LIVE

    @property
    def possible(self) -> bool:
        """Whether there is anything to pull from."""
        return bool(self._settings.upstreams.urls)

    @property
    def packets_received(self) -> int:
        """Datagrams from all upstreams so far."""
        return self._received_before + sum(feed.packets_received for feed in self._feeds)

    def snapshot(self) -> UpstreamSnapshot | None:
        """None when nothing is pulled."""
        if self._task is None:
            return None
        now_ms = self._port.now_ms()
        return UpstreamSnapshot(
            url=self._url,
            state=self.state.value,
            age_ms=now_ms - self._since_ms,
            rtt_ms=self._feed.path_rtt_ms if self._feed else None,
            failovers=self.failovers,
            lineage=self._stream.lineage,
        )

    async def ready(self, path: tuple[str, ...], timeout_s: float) -> None:
        """Pull, and wait until the stream is on the air. path: of the relay that asks, or empty.

        Raises Refused with the upstream's reason.
        """
        self._wanted_ms = self._port.now_ms()
        self._waiting.append(path)
        self.refusal = None
        try:
            self._start()
            async with asyncio.timeout(timeout_s):
                while not self._stream.codecs_on_air():
                    await self._next_turn()
                    if self.refusal is not None and not self._stream.codecs_on_air():
                        raise self.refusal
        except TimeoutError:
            raise self.refusal or Refused(
                503, "This relay does not have the stream yet.", 1
            ) from None
        finally:
            self._waiting.remove(path)

    def poll(self, now_ms: float) -> None:
        """Some ten times a second: start when kept warm, stop when nobody has watched for long."""
        for feed in [feed for feed in self._feeds if feed.freed]:
            self._feeds.remove(feed)
            self._received_before += feed.packets_received
        if self._stream.viewers or self._waiting or self.warm:
            self._wanted_ms = now_ms
            self._start()
        elif self._task is not None and now_ms - self._wanted_ms > self._settings.linger_ms:
            log.info("pull ends: nobody watches", extra={"stream": self._stream.name})
            self._stop()

    async def close(self) -> None:
        """End the session at the upstream."""
        task = self._task
        self._stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(feed.ended() for feed in self._feeds), return_exceptions=True)

    # -- the task

    def _start(self) -> None:
        if self._task is None and self._settings.upstreams.urls:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._report)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        for feed in tuple(self._feeds):
            feed.end(CloseReason.LOCAL)
        self._feed = None
        self._set(PullState.NONE)

    def _report(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("pull failed", exc_info=task.exception())
        if self._task is task:
            self._task = None

    async def _run(self) -> None:
        backoff = Backoff(base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        while True:
            if self._state == PullState.NONE:
                self._set(PullState.CONNECTING)
            failed = self._url
            if await self._find(self._settings.upstreams.after(failed)):
                backoff.succeeded()
                await self._stay()
                self._set(PullState.LOST)
                self.failovers += 1
                continue
            # An upstream that answers and has nothing on the air is not lost.
            nobody = self.refusal is not None and self.refusal.status == 409
            self._set(PullState.SILENT if nobody else PullState.LOST)
            self._tell()
            await self._pause(backoff.failed())

    async def _find(self, urls: Sequence[str]) -> bool:
        """The first upstream that brings media becomes the feed."""
        reasons: list[Refused] = []
        for url in urls:
            try:
                feed = await self._open(url)
            except ClientError as error:
                reasons.append(_refusal(error))
                self._log_failure(url, error)
                continue
            self._feed, self._url = feed, url
            self._said.clear()
            self.refusal = None
            self._set(PullState.LIVE)
            self._tell()
            log.info(
                "pulling", extra={"stream": self._stream.name, "upstream": url, "via": feed.lineage}
            )
            return True
        if self._feed is None:
            # A loop is said before anything else: waiting does not mend it.
            reasons.sort(key=lambda reason: reason.status != 508)
            self.refusal = reasons[0] if reasons else Refused(503, "No upstream is known.", 1)
        return False

    async def _open(self, url: str) -> PullFeed:
        """A feed that brings media. Raises ClientError."""
        feed = await PullFeed.open(
            url,
            self._stream.name,
            self._settings.http,
            self._settings.token,
            self._path(),
            self._stream.feed_callbacks,
            self._stream.router.next_source_number,
        )
        self._feeds.add(feed)
        try:
            await feed.connect()
            self._check_lineage(feed)
            self._stream.pending.append(feed)
            with _client_timeout():
                async with asyncio.timeout(FIRST_MEDIA_S):
                    await _first(feed.first_media, feed.over)
            if feed.closed_reason is not None:
                raise ClientError(f"the upstream ended the session: {feed.closed_reason}")
        except BaseException:
            self._drop(feed)
            raise
        return feed

    async def _stay(self) -> None:
        """Until the feed is lost; on the way to another one if that is wished."""
        due_ms, wait_ms = 0.0, SEARCH_MS
        while (feed := self._feed) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await feed.over.wait()
            now_ms = self._port.now_ms()
            if feed.over.is_set() or self._is_dead(feed, now_ms):
                log.warning(
                    "upstream lost", extra={"stream": self._stream.name, "upstream": feed.url}
                )
                self._drop(feed)
                self._feed = None
                return
            unwanted = feed.url not in self._settings.upstreams.urls
            if feed.move_to is None and not unwanted and not self._is_silent(feed):
                due_ms, wait_ms = 0.0, SEARCH_MS
                continue
            if now_ms >= due_ms or feed.move_to is not None:
                await self._leave(feed)
                due_ms, wait_ms = now_ms + wait_ms, min(wait_ms * 1.5, MAX_SEARCH_MS)

    async def _leave(self, feed: PullFeed) -> None:
        """Make before break: another upstream if one has the stream; if none has, stay."""
        feed.move_to = None
        others = [url for url in self._settings.upstreams.urls if url != feed.url]
        if await self._find(others):
            self._tell()
            # The stream lets the old feed go at the new one's first key frame.
            self._stream.retire(feed, self._port.now_ms())

    def _is_dead(self, feed: PullFeed, now_ms: float) -> bool:
        limit_ms = DEAD_AFTER_BREAK_MS if feed.events_broke else DEAD_MS
        return now_ms - feed.last_sign_ms > limit_ms

    def _is_silent(self, feed: PullFeed) -> bool:
        last_ms = feed.last_media_ms
        return last_ms is not None and self._port.now_ms() - last_ms > SILENT_MS

    def _check_lineage(self, feed: PullFeed) -> None:
        node_id = self._settings.node_id
        if node_id in feed.lineage:
            chain = " → ".join((*feed.lineage, node_id))
            raise ClientError(f"Relays would pull in a circle: {chain}.", status=508)
        if len(feed.lineage) >= MAX_DEPTH:
            depth = len(feed.lineage)
            raise ClientError(f"The upstream is {depth} nodes deep.", status=508)

    def _path(self) -> tuple[str, ...]:
        """Ours, then everybody who hangs on us or is about to."""
        waiting = (node for path in self._waiting for node in path)
        downstream = dict.fromkeys((*waiting, *self._stream.downstream()))
        return (self._settings.node_id, *downstream)

    def _drop(self, feed: PullFeed) -> None:
        feed.end(CloseReason.CONSENT_EXPIRED)
        self._stream.forget(feed)

    def _set(self, state: PullState) -> None:
        if state != self._state:
            self._state, self._since_ms = state, self._port.now_ms()

    def _tell(self) -> None:
        waiting, self._turn = self._turn, asyncio.Event()
        waiting.set()

    async def _next_turn(self) -> None:
        await self._turn.wait()

    async def _pause(self, delay_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._settings.upstreams.changed()

    def _log_failure(self, url: str, error: ClientError) -> None:
        """Once for each new reason of an upstream: it is asked again every second."""
        if self._said.get(url) != error.detail:
            self._said[url] = error.detail
            keys = {"stream": self._stream.name, "upstream": url}
            log.warning("upstream refused: %s", error.detail, extra=keys)


@contextmanager
def _client_timeout() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise ClientError("the upstream answers but sends no media") from None


async def _first(*events: asyncio.Event) -> None:
    """Until one of the events is set."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


def _refusal(error: ClientError) -> Refused:
    """What a viewer is told when the upstream will not serve this relay."""
    match error.status:
        case 508:
            return Refused(508, error.detail)
        case 409:
            return Refused(409, "Nothing is on the air on this stream yet.", 2)
        case 404:
            return Refused(404, "There is no stream of this name upstream.")
        case 401 | 403:
            return Refused(502, f"The upstream refuses this relay: {error.detail}")
        case _:
            return Refused(503, f"This relay's upstream cannot serve it: {error.detail}", 1)
