"""Spreads a frame over a few milliseconds: a key frame at line speed overruns cheap switches.

Sound is never queued. Packets leave in bursts, so that a server that drains its socket per wake-up
gets whole trains to forward.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from hub.source.rtp_sender import Outgoing

BURST_PACKETS = 8
GAP_S = 0.002
MAX_SPREAD_S = 0.015
MAX_QUEUED_PACKETS = 1500


def burst_gap_s(packets: int) -> float:
    """Seconds between the bursts of a frame of so many packets."""
    bursts = -(-packets // BURST_PACKETS)
    return 0.0 if bursts < 2 else min(GAP_S, MAX_SPREAD_S / (bursts - 1))


class Pacer:
    """Queue of frames; `run` sends them through `send` until cancelled."""

    def __init__(self, send: Callable[[Outgoing], None]) -> None:
        self._send = send
        self._frames: deque[list[Outgoing]] = deque()
        self._queued = 0
        self._wake = asyncio.Event()

    def push(self, frame: list[Outgoing]) -> bool:
        """Queue a frame; False (and nothing queued) when the queue is full."""
        if self._queued + len(frame) > MAX_QUEUED_PACKETS:
            return False
        self._frames.append(frame)
        self._queued += len(frame)
        self._wake.set()
        return True

    async def run(self) -> None:
        while True:
            while self._frames:
                await self._send_frame(self._frames.popleft())
            self._wake.clear()
            await self._wake.wait()

    async def _send_frame(self, frame: list[Outgoing]) -> None:
        gap_s = burst_gap_s(len(frame))
        for at in range(0, len(frame), BURST_PACKETS):
            # A frame that waits behind takes precedence over smoothness.
            if at and not self._frames:
                await asyncio.sleep(gap_s)
            burst = frame[at : at + BURST_PACKETS]
            self._queued -= len(burst)
            for outgoing in burst:
                self._send(outgoing)
