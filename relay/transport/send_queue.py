"""What the socket would not take: a bounded queue per peer, emptied when it is writable again.

Packets wait sealed. A peer's queue is bounded by count and age, so that a slow line costs that
peer pictures and nobody else memory; an overflow is told once, until the queue has run empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from relay.transport.ice import Path

MAX_QUEUED_PACKETS = 128
MAX_QUEUED_MS = 500.0


@dataclass(slots=True)
class _PeerQueue:
    packets: deque[tuple[bytes, Path, float]] = field(default_factory=deque)
    overflowed: bool = False


class SendQueue:
    """Queues of one socket, by peer index.

    on_overflow(index, packets, first): packets were dropped; first of the episode or not.
    """

    def __init__(self, on_overflow: Callable[[int, int, bool], None]) -> None:
        self._queues: dict[int, _PeerQueue] = {}
        self._on_overflow = on_overflow

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __len__(self) -> int:
        return sum(len(queue.packets) for queue in self._queues.values())

    def push(self, index: int, data: bytes, path: Path, now_ms: float) -> bool:
        """False if the peer's queue is full and the packet was dropped."""
        queue = self._queues.get(index)
        if queue is None:
            queue = self._queues[index] = _PeerQueue()
        if len(queue.packets) >= MAX_QUEUED_PACKETS:
            self._overflow(index, queue, 1)
            return False
        queue.packets.append((data, path, now_ms))
        return True

    def flush(self, send: Callable[[bytes, Path], bool], now_ms: float) -> None:
        """One packet per peer and round, until all is sent or `send` says False (blocked)."""
        while self._queues:
            for index in list(self._queues):
                queue = self._queues[index]
                stale = 0
                while queue.packets and now_ms - queue.packets[0][2] > MAX_QUEUED_MS:
                    queue.packets.popleft()
                    stale += 1
                if stale:
                    self._overflow(index, queue, stale)
                if queue.packets:
                    if not send(queue.packets[0][0], queue.packets[0][1]):
                        return
                    queue.packets.popleft()
                if not queue.packets:
                    del self._queues[index]

    def forget(self, index: int) -> None:
        """The peer is gone."""
        self._queues.pop(index, None)

    def _overflow(self, index: int, queue: _PeerQueue, packets: int) -> None:
        first, queue.overflowed = not queue.overflowed, True
        self._on_overflow(index, packets, first)
