"""The line check with our own client: the same session that a page opens (docs/line-check.md)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from hub.doctor.finding import Finding, Level
from hub.state.line_verdict import (
    LineFigures,
    Readiness,
    StepFigures,
    WayFigures,
    judge,
    sentence,
)
from relay.client.errors import (
    ClientError,
    MediaTimeoutError,
    OverloadedError,
    error_for_status,
)
from relay.client.http_session import translate
from relay.client.link_header import Link
from relay.client.whep_client import WhepClient
from relay.core.line_check import MAX_BURST_MS, STEP_MS, STEPS_BPS, STREAM, TOTAL_MS
from relay.core.rtp import RtpError, parse_rtp
from relay.transport.port import MediaPort

OVERHEAD_BYTES = 44
"""SRTP tag, UDP and IPv4 of one packet."""
CODECS = ("H264", "VP8", "VP9", "AV1")
TURN_TIMEOUT_S = 3.0
MAX_WAIT_S = 60.0
"""For a turn while other checks are under way."""
WAIT_S = 8.0
BUSY_WAIT_S = 2.0
MAX_STALLED_MS = 200.0
"""Of the node: all in the last step, a line that carries it still counts as fast enough."""
REPORT_TIMEOUT = aiohttp.ClientTimeout(total=8)


Tried = tuple[str | None, float, float | None, tuple[Link, ...]]


class Tally:
    """Counts what a check sends; a ClientHandler."""

    def __init__(self) -> None:
        self.first_ms: float | None = None
        self.bytes_by_step: dict[int, int] = defaultdict(int)
        self.numbers: list[set[int]] = [set() for _ in STEPS_BPS]
        self.jitter_ms = 0.0
        self.stalled_ms = 0.0
        """Pauses of the node that it did not make up for: nothing that the line has done."""
        self._before: tuple[float, float] | None = None
        self._last: tuple[int, int] | None = None

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        """Count."""
        for packet in packets:
            try:
                view = parse_rtp(packet)
            except RtpError:
                continue
            if self.first_ms is None:
                self.first_ms = now_ms
            step = min(int((now_ms - self.first_ms) // STEP_MS), len(STEPS_BPS) - 1)
            self.bytes_by_step[step] += len(packet) + OVERHEAD_BYTES
            self.numbers[step].add(view.seq)
            self._note_jitter(view.timestamp / 90.0, now_ms)
            self._note_stall(view.seq, view.timestamp)

    def on_rtcp(self, packet: bytes, now_ms: float) -> None:
        """Nothing to learn."""

    def loss_ratio(self) -> float:
        """Of all numbers up to the highest (a check has fewer than 2^15)."""
        seen: set[int] = set().union(*self.numbers)
        return max(0.0, 1 - len(seen) / (max(seen) + 1)) if seen else 0.0

    def steps(self) -> tuple[StepFigures, ...]:
        """By rate."""
        return tuple(
            StepFigures(
                bps=bps,
                received_bps=self.bytes_by_step[i] * 8000 / STEP_MS,
                loss_ratio=self._loss_of_step(i),
            )
            for i, bps in enumerate(STEPS_BPS)
        )

    def _loss_of_step(self, step: int) -> float | None:
        """Of the numbers that are new in it; None where nothing came."""
        before = max((max(seen) for seen in self.numbers[:step] if seen), default=-1)
        new = {number for number in self.numbers[step] if number > before}
        return max(0.0, 1 - len(new) / (max(new) - before)) if new else None

    def _note_stall(self, seq: int, timestamp: int) -> None:
        """Between neighbours alone: then nothing was sent in between."""
        if self._last is not None and seq == self._last[0] + 1:
            pause_ms = ((timestamp - self._last[1]) & 0xFFFFFFFF) / 90
            self.stalled_ms += max(0.0, pause_ms - MAX_BURST_MS)
        self._last = seq, timestamp

    def _note_jitter(self, sent_ms: float, now_ms: float) -> None:
        """RFC 3550 section 6.4.1."""
        if self._before is not None:
            change = abs((now_ms - self._before[1]) - (sent_ms - self._before[0]))
            self.jitter_ms += (min(change, 1000.0) - self.jitter_ms) / 16
        self._before = sent_ms, now_ms


async def check(
    hub_url: str, token: str, *, insecure: bool, report: bool
) -> tuple[LineFigures, dict[str, Any]]:
    """Figures of the line to the node that a commune would get, and the verdict: the hub's where it
    is told, else by the same formula, with `untold` for why not. Raises ClientError, OSError."""
    connector = aiohttp.TCPConnector(ssl=not insecure)
    async with aiohttp.ClientSession(connector=connector) as http:
        figures = await measure(http, hub_url, token)
        untold = ""
        if report:
            try:
                return figures, await tell(http, hub_url, token, figures)
            except ClientError as error:
                untold = error.detail
    judged = judge(figures)
    vi, en = sentence(judged)
    return figures, {"verdict": judged.readiness.value, "vi": vi, "en": en, "untold": untold}


async def tell(
    http: aiohttp.ClientSession, hub_url: str, token: str, figures: LineFigures
) -> dict[str, Any]:
    """The hub's verdict on reported figures. Raises ClientError."""
    url = f"{hub_url.rstrip('/')}/api/line-check"
    headers = {"Authorization": f"Bearer {token}"}
    body = figures.model_dump(mode="json")
    try:
        async with http.post(url, json=body, headers=headers, timeout=REPORT_TIMEOUT) as answer:
            if answer.status != 200:
                raise error_for_status(answer.status, f"the hub answers {answer.status}")
            verdict: dict[str, Any] = await answer.json()
            return verdict
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise translate(error, URL(url)) from error


async def measure(http: aiohttp.ClientSession, hub_url: str, token: str) -> LineFigures:
    """The figures alone. Raises ClientError when the hub does not let us check."""
    tally = Tally()

    async def run() -> Tried:
        nonlocal tally
        tally = Tally()
        tried = await _connect(http, hub_url, token, tally, wait=True)
        if tally.stalled_ms > MAX_STALLED_MS:
            detail = "the relay is too busy to check a line: try again later"
            raise OverloadedError(detail, retry_after_s=BUSY_WAIT_S)
        return tried

    used, connect_ms, rtt_ms, links = await _in_turn(run)
    tcp = WayFigures(ok=used == "tcp", connect_ms=connect_ms if used == "tcp" else None)
    if used == "udp":
        way, took_ms, _, _ = await _in_turn(
            lambda: _connect(http, hub_url, token, Tally(), wait=False, tcp_only=True)
        )
        tcp = WayFigures(ok=way == "tcp", connect_ms=took_ms if way else None)
    udp = WayFigures(ok=used == "udp", connect_ms=connect_ms if used == "udp" else None)
    turn_urls = [link.target for link in links if link.target.startswith("turn")]
    turn = await _turn(turn_urls) if turn_urls else None
    return LineFigures(
        via="doctor",
        udp=udp,
        tcp=tcp,
        turn=turn,
        rtt_ms=rtt_ms,
        jitter_ms=tally.jitter_ms,
        loss_ratio=tally.loss_ratio(),
        steps=tally.steps() if used else (),
        codecs=CODECS,
    )


async def _in_turn(
    attempt: Callable[[], Awaitable[Tried]],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Tried:
    """What an attempt found, made again while other checks are under way. Raises ClientError."""
    left_s = MAX_WAIT_S
    while True:
        try:
            return await attempt()
        except OverloadedError as error:
            wait_s = WAIT_S if error.retry_after_s is None else max(error.retry_after_s, 0.5)
            left_s -= wait_s
            if left_s < 0:
                raise
            await sleep(wait_s)


async def _connect(
    http: aiohttp.ClientSession,
    hub_url: str,
    token: str,
    tally: Tally,
    *,
    wait: bool,
    tcp_only: bool = False,
) -> Tried:
    """(way that came up or None, ms until then, round trip, links). wait: for all steps.

    Raises ClientError when it is not the media that fails: that tells nothing of UDP or TCP.
    """
    port = await MediaPort.open(port=0)
    client = WhepClient(port, http, f"{hub_url.rstrip('/')}/whep/{STREAM}", token, tally)
    client.tcp_only = tcp_only
    began = time.monotonic()
    way: str | None = None
    try:
        await client.connect()
        way = client.transport
        took_ms = (time.monotonic() - began) * 1000
        if wait:
            await client.wait_closed(TOTAL_MS / 1000 + 0.7)
        return way, took_ms, client.rtt_ms, client.http.links
    except MediaTimeoutError:
        return None, 0.0, None, client.http.links
    finally:
        with contextlib.suppress(ClientError):
            await client.close()
        await port.close()


async def _turn(urls: list[str]) -> WayFigures:
    """Whether a TURN server's TCP port can be reached."""
    for url in urls:
        scheme, _, rest = url.partition(":")
        place = urlsplit("//" + rest.partition("?")[0])
        began = time.monotonic()
        try:
            number = place.port or (5349 if scheme == "turns" else 3478)
            async with asyncio.timeout(TURN_TIMEOUT_S):
                _, writer = await asyncio.open_connection(place.hostname, number)
        except (OSError, ValueError):
            continue
        writer.close()
        return WayFigures(ok=True, connect_ms=(time.monotonic() - began) * 1000)
    return WayFigures(ok=False)


def findings_of(figures: LineFigures, verdict: dict[str, Any]) -> list[Finding]:
    """For the doctor's list. verdict: `verdict` and `en`, as the hub answers."""
    level = {
        Readiness.READY: Level.OK,
        Readiness.LIMITED: Level.WARN,
        Readiness.NOT_READY: Level.FAIL,
    }[Readiness(verdict["verdict"])]
    rtt = "?" if figures.rtt_ms is None else f"{figures.rtt_ms:.0f}"
    ways = (("UDP", figures.udp), ("TCP", figures.tcp), ("TURN", figures.turn))
    found = [
        Finding(
            f"Line over {name}",
            Level.OK if way.ok else Level.WARN,
            f"up in {way.connect_ms:.0f} ms" if way.connect_ms is not None else "no connection",
            "" if way.ok else "A firewall on the way blocks it.",
        )
        for name, way in ways
        if way is not None
    ]
    text = (
        f"{figures.down_bps / 1e6:.2f} Mbit/s, {figures.own_loss_ratio:.1%} lost, "
        f"round trip {rtt} ms, jitter {figures.jitter_ms or 0:.0f} ms"
    )
    found.append(Finding("Line", Level.OK, text))
    found.append(Finding("Đường truyền / line", level, f"{verdict['vi']} / {verdict['en']}"))
    if verdict.get("untold"):
        advice = "Tell the operator what stands here."
        found.append(Finding("Report", Level.WARN, f"not made: {verdict['untold']}", advice))
    return found
