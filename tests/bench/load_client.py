"""Joins N viewers to a WHEP (or Janus) server and measures what reaches them.

A process of its own: `python -m tests.bench.load_client CONFIG.json`; writes one line of JSON.
Each viewer has a UDP socket. Once all are in, they are drained on a timer, all into one memory that
is counted by vectors, and arrival times are the kernel's: neither this client's wake-ups nor its
scheduling are what is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from OpenSSL import SSL

from tests.bench import cpu
from tests.bench.certificate import Certificate
from tests.bench.figures import evenly_spaced, percentile, spread
from tests.bench.janus_signalling import JanusSignalling
from tests.bench.kernel_io import (
    Received,
    Receiver,
    die_with_parent,
    open_sockets,
    socket_drops,
)
from tests.bench.signalling import JoinRefusedError, Signalling, WhepSignalling
from tests.bench.stun import is_stun
from tests.bench.tally import AUDIO, KINDS, VIDEO, Tally, TallySnapshot, between
from tests.bench.viewer import Viewer

_TICK_S = 0.005
_TICKS_PER_REPORT = 200
_TICKS_PER_CONSENT = 500
_SAMPLED_VIEWERS = 8
_JOIN_PATIENCE_S = 15.0


@dataclass
class Settings:
    """One run. join_seconds: over which the joins are spread. server_pid: whose CPU to read."""

    api: str
    url: str
    viewers: int
    tokens: list[str] = field(default_factory=list)
    join_seconds: float = 2.0
    settle_seconds: float = 2.0
    seconds: float = 8.0
    server_pid: int = 0
    server_core: int = 0
    core: int = 1
    gro: bool = True
    mountpoint: int = 1


@dataclass(frozen=True)
class _Moment:
    """What is read at both ends of the window."""

    at_s: float
    server_cpu_ns: int
    server_wait_ns: int
    core_busy_s: float
    own_cpu_s: float
    tally: TallySnapshot


class LoadClient:
    """N viewers on one socket."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sockets = open_sockets(settings.viewers, settings.gro)
        self._receiver = Receiver(self._sockets, settings.gro)
        self._certificate = Certificate()
        self._signalling: Signalling
        if settings.api == "janus":
            self._signalling = JanusSignalling(settings.url, settings.mountpoint)
        else:
            self._signalling = WhepSignalling(settings.url, settings.tokens)
        self._viewers = [
            Viewer(index, sock, self._certificate) for index, sock in enumerate(self._sockets)
        ]
        self._sampled = np.zeros(settings.viewers, np.bool_)
        self._sampled[evenly_spaced(_SAMPLED_VIEWERS, settings.viewers)] = True
        self._tally = Tally(settings.viewers, self._signalling.kind_of_payload_type)
        self._pids = cpu.tree(settings.server_pid) if settings.server_pid else []
        self._realtime_offset_ns = _realtime_offset_ns()
        self._tick = 0
        self._join_cpu_share = 0.0
        self._lateness_ns: deque[int] = deque(maxlen=20_000)

    async def run(self) -> dict[str, Any]:
        """Join, settle, measure, leave. Raises JoinRefusedError if nobody gets in."""
        await self._signalling.open()
        try:
            rss_before = cpu.tree_rss_bytes(self._pids)
            ticker = asyncio.create_task(self._ticks())
            await self._join_all()
            await asyncio.sleep(self._settings.settle_seconds)
            before, after = await self._measure()
            rss_after = cpu.tree_rss_bytes(self._pids)
            ticker.cancel()
            result = self._result(before, after)
            result["rss_before_mb"] = rss_before / 2**20
            result["mb_per_viewer"] = (rss_after - rss_before) / 2**20 / len(self._viewers)
            await self._leave_all()
        finally:
            await self._signalling.close()
            for sock in self._sockets:
                sock.close()
        return result

    async def _join_all(self) -> None:
        pause = self._settings.join_seconds / max(len(self._viewers), 1)
        start_s, start_cpu_s = time.monotonic(), time.process_time()
        joins = []
        for viewer in self._viewers:
            delay = start_s + viewer.index * pause - time.monotonic()
            await asyncio.sleep(max(delay, 0))
            joins.append(asyncio.create_task(self._join(viewer)))
        await asyncio.gather(*joins)
        took_s = time.monotonic() - start_s
        self._join_cpu_share = (time.process_time() - start_cpu_s) / took_s
        deadline_s = time.monotonic() + _JOIN_PATIENCE_S
        while self._waiting() and time.monotonic() < deadline_s:
            await asyncio.sleep(_TICK_S)

    def _waiting(self) -> bool:
        got_video = self._tally.first_ns[VIDEO::4] > 0
        return any(not got_video[v.index] and not v.failure for v in self._viewers)

    async def _join(self, viewer: Viewer) -> None:
        loop, sock = asyncio.get_running_loop(), self._sockets[viewer.index]
        viewer.asked_ns = time.time_ns()
        try:
            remote = await self._signalling.join(viewer)
            viewer.answered_ns = time.time_ns()
            loop.add_reader(sock, self._drain_joining, viewer)
            viewer.connect(remote, time.monotonic())
        except (JoinRefusedError, aiohttp.ClientError, ValueError, TimeoutError) as error:
            viewer.failure = f"{type(error).__name__}: {error}"

    async def _leave_all(self) -> None:
        for viewer in self._viewers:
            try:
                await self._signalling.leave(viewer)
            except (aiohttp.ClientError, TimeoutError):
                return  # the figures are taken; the server is stopped next

    async def _ticks(self) -> None:
        """Drain, retransmit, report and keep consent, spread evenly over the viewers."""
        next_s = time.monotonic()
        while True:
            next_s = max(next_s + _TICK_S, time.monotonic())
            await asyncio.sleep(next_s - time.monotonic())
            self._lateness_ns.append(max(int((time.monotonic() - next_s) * 1e9), 0))
            self._tick += 1
            self._drain()
            now_s = time.monotonic()
            if self._tick % 4 == 0:
                for viewer in self._viewers:
                    if not viewer.peer.connected:
                        viewer.peer.poll(now_s)
            self._keep_up(now_s)

    def _keep_up(self, now_s: float) -> None:
        count = len(self._viewers)
        for index in range(-self._tick % _TICKS_PER_REPORT, count, _TICKS_PER_REPORT):
            self._report(self._viewers[index])
        for index in range(-self._tick % _TICKS_PER_CONSENT, count, _TICKS_PER_CONSENT):
            if self._viewers[index].peer.connected:
                self._viewers[index].peer.check_consent(now_s)

    def _report(self, viewer: Viewer) -> None:
        blocks = []
        for kind in (AUDIO, VIDEO):
            key = viewer.index * 4 + kind
            if self._tally.ssrc[key]:
                blocks.append((int(self._tally.ssrc[key]), int(self._tally.highest[key])))
        if blocks:
            viewer.send_report(blocks)

    def _drain_joining(self, viewer: Viewer) -> None:
        """Handshakes are answered at once; afterwards the timer is enough."""
        for batch in self._receiver.drain_one(viewer.index):
            self._take(batch)
        if viewer.peer.connected:
            asyncio.get_running_loop().remove_reader(self._sockets[viewer.index])

    def _drain(self) -> None:
        for batch in self._receiver.drain():
            self._take(batch)

    def _take(self, batch: Received) -> None:
        memory = self._receiver.memory
        is_rtp = self._tally.add(memory, batch)
        for i in np.flatnonzero(~is_rtp):
            self._take_other(self._viewers[batch.viewer[i]], self._bytes(batch, int(i)))
        for i in np.flatnonzero(is_rtp & self._sampled[batch.viewer]):
            received_ns = int(batch.stamp_ns[i]) - self._realtime_offset_ns
            self._viewers[batch.viewer[i]].on_rtp(self._bytes(batch, int(i)), received_ns)

    def _bytes(self, batch: Received, i: int) -> bytes:
        start = int(batch.offset[i])
        return self._receiver.memory[start : start + int(batch.length[i])].tobytes()

    def _take_other(self, viewer: Viewer, datagram: bytes) -> None:
        if is_stun(datagram):
            viewer.peer.on_stun(datagram)
        elif datagram and 20 <= datagram[0] <= 63:
            try:
                viewer.peer.on_dtls(datagram)
            except SSL.Error as error:
                viewer.failure = viewer.failure or f"DTLS: {error}"

    async def _measure(self) -> tuple[_Moment, _Moment]:
        gc.collect()
        gc.freeze()
        self._drain()
        for viewer in self._viewers:
            viewer.sampling = bool(self._sampled[viewer.index])
        before = self._moment()
        await asyncio.sleep(self._settings.seconds)
        self._drain()
        after = self._moment()
        for viewer in self._viewers:
            viewer.sampling = False
        return before, after

    def _moment(self) -> _Moment:
        return _Moment(
            at_s=time.monotonic(),
            server_cpu_ns=cpu.tree_cpu_ns(self._pids),
            server_wait_ns=cpu.tree_wait_ns(self._pids),
            core_busy_s=cpu.core_busy_s(self._settings.server_core),
            own_cpu_s=time.process_time(),
            tally=self._tally.snapshot(),
        )

    def _result(self, before: _Moment, after: _Moment) -> dict[str, Any]:
        count = between(before.tally, after.tally)
        wall_s = after.at_s - before.at_s
        cpu_ns = after.server_cpu_ns - before.server_cpu_ns
        failures = [viewer.failure for viewer in self._viewers if viewer.failure]
        return {
            "viewers": len(self._viewers),
            "seconds": wall_s,
            "packets": count.packets,
            "packets_per_viewer_second": count.packets / wall_s / len(self._viewers),
            "megabits_per_viewer": count.octets * 8 / wall_s / 1e6 / len(self._viewers),
            "us_per_packet": cpu_ns / 1000 / max(count.packets, 1),
            "server_core": cpu_ns / 1e9 / wall_s,
            "server_wait": (after.server_wait_ns - before.server_wait_ns) / 1e9 / wall_s,
            "core_busy": (after.core_busy_s - before.core_busy_s) / wall_s,
            "client_core": (after.own_cpu_s - before.own_cpu_s) / wall_s,
            "client_core_joining": self._join_cpu_share,
            "client_lateness": spread(self._lateness_ns),
            "lost": count.lost,
            "loss": count.lost / max(count.expected, 1),
            "undelivered": 1 - count.media / max(count.due, 1),
            "silent_viewers": count.silent_viewers,
            "client_socket_drops": socket_drops(self._sockets),
            "latency": self._latency(),
            "join": self._join_times(),
            "refused": len(failures),
            "first_failure": failures[0] if failures else "",
            "srtp_profile": next((v.peer.profile for v in self._viewers if v.peer.profile), ""),
            "bad_packets": sum(viewer.bad_packets for viewer in self._viewers),
        }

    def _latency(self) -> dict[str, Any]:
        """Per kind: the sampled viewer served first and the one served last, by their medians."""
        found: dict[str, Any] = {}
        for payload_type, kind in self._signalling.kind_of_payload_type.items():
            samples = [
                viewer.latencies_ns[payload_type]
                for viewer in self._viewers
                if viewer.latencies_ns.get(payload_type)
            ]
            if samples:
                samples.sort(key=lambda values: percentile(values, 50))
                found[KINDS[kind]] = {"first": spread(samples[0]), "last": spread(samples[-1])}
        return found

    def _join_times(self) -> dict[str, Any]:
        """POST to the first RTP packet, and to the first video packet."""
        first = self._tally.first_ns.reshape(-1, 4)
        any_rtp, video = [], []
        for viewer in self._viewers:
            came = first[viewer.index, [AUDIO, VIDEO]]
            if (came > 0).any():
                any_rtp.append(int(came[came > 0].min()) - viewer.asked_ns)
            if came[1] > 0:
                video.append(int(came[1]) - viewer.asked_ns)
        ready = [viewer for viewer in self._viewers if viewer.peer.connected]
        return {
            "joined": len(video),
            "answer": spread([v.answered_ns - v.asked_ns for v in ready]),
            "ice": spread([v.peer.checked_ns - v.answered_ns for v in ready]),
            "dtls": spread([v.peer.connected_ns - v.peer.checked_ns for v in ready]),
            "first_rtp": spread(any_rtp),
            "first_video": spread(video),
        }


def _realtime_offset_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, from the tightest of a few readings."""
    best = (1 << 62, 0)
    for _ in range(20):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        best = min(best, (after - before, wall - (before + after) // 2))
    return best[1]


def main() -> None:
    settings = Settings(**json.loads(Path(sys.argv[1]).read_text()))
    die_with_parent()
    cpu.pin(settings.core)
    result = asyncio.run(LoadClient(settings).run())
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
