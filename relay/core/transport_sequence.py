"""Transport-wide sequence numbers, and what was sent under them
(draft-holmer-rmcat-transport-wide-cc-extensions-01).

One counter a peer, shared by its tracks and repairs. Sends are logged for the peers that are
*watched*, as vectors over all of them at once: the feedback of a viewer on a good line is never
asked for, so nothing is logged for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LOGGED = 2048
"""Packets remembered of each watched peer, a power of two: seconds of any stream."""

WIRE_BYTES = 44
"""UDP, IPv4 and the SRTP tag, on top of an RTP packet."""

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SentPackets:
    """Consecutive packets of one peer, from extended number `first` on.

    sent_ms: float64[n], NaN where nothing is known. size_bytes: int32[n], on the wire.
    """

    first: int
    sent_ms: npt.NDArray[np.float64]
    size_bytes: npt.NDArray[np.int32]


class TransportSequence:
    """Counters of all peers of a stream, and the log of those watched."""

    def __init__(self) -> None:
        self._next: _I64 = np.zeros(64, np.int64)
        self._slot: _I64 = np.full(64, -1, np.int64)
        self._free: list[int] = []
        self._sent_ms: npt.NDArray[np.float64] = np.zeros((0, LOGGED))
        self._sizes: npt.NDArray[np.int32] = np.zeros((0, LOGGED), np.int32)
        self._since: _I64 = np.zeros(0, np.int64)
        """By slot: the number at which the peer began to be watched."""

    def take(self, peers: npt.NDArray[np.int32], sizes: Sequence[int], now_ms: float) -> _I64:
        """int64[peers, packets]: the next numbers of each peer, for packets of these RTP sizes."""
        self._reach(int(peers.max()))
        base = self._next[peers]
        self._next[peers] = base + len(sizes)
        numbers: _I64 = base[:, None] + np.arange(len(sizes))
        slots = self._slot[peers]
        watched = slots >= 0
        if watched.any():
            rows, places = slots[watched, None], numbers[watched] & (LOGGED - 1)
            self._sent_ms[rows, places] = now_ms
            self._sizes[rows, places] = np.array(sizes, np.int32) + WIRE_BYTES
        return numbers

    def take_one(self, peer: int, size: int, now_ms: float) -> int:
        """The next number of one peer, 16 bits, for a packet of this RTP size."""
        return int(self.take(np.array([peer], np.int32), (size,), now_ms)[0, 0]) & 0xFFFF

    def next_of(self, peer: int) -> int:
        """The extended number that the peer's next packet will have."""
        return int(self._next[peer]) if peer < len(self._next) else 0

    def watch(self, peer: int) -> None:
        """Log what is sent to a peer from now on; harmless when it is watched already."""
        self._reach(peer)
        if self._slot[peer] >= 0:
            return
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._slot[peer] = slot
        self._since[slot] = self._next[peer]

    def unwatch(self, peer: int) -> None:
        """Log no more; harmless when it is not watched."""
        if peer < len(self._slot) and self._slot[peer] >= 0:
            self._free.append(int(self._slot[peer]))
            self._slot[peer] = -1

    def sent(self, peer: int, base_seq: int, count: int) -> SentPackets:
        """The log of `count` packets from the 16-bit number `base_seq` on, the newest such."""
        upcoming = self.next_of(peer)
        first = upcoming - 1 - ((upcoming - 1 - base_seq) & 0xFFFF)
        numbers = first + np.arange(count)
        slot = int(self._slot[peer]) if peer < len(self._slot) else -1
        if slot < 0:
            return SentPackets(first, np.full(count, np.nan), np.zeros(count, np.int32))
        places = numbers & (LOGGED - 1)
        known = (numbers >= max(int(self._since[slot]), upcoming - LOGGED)) & (numbers < upcoming)
        sent_ms = np.where(known, self._sent_ms[slot, places], np.nan)
        return SentPackets(first, sent_ms, self._sizes[slot, places])

    def _reach(self, peer: int) -> None:
        if peer >= len(self._next):
            more = peer + 1
            self._next = np.concatenate((self._next, np.zeros(more, np.int64)))
            self._slot = np.concatenate((self._slot, np.full(more, -1, np.int64)))

    def _grow(self) -> None:
        old = len(self._sent_ms)
        more = max(8, old)
        self._sent_ms = np.concatenate((self._sent_ms, np.zeros((more, LOGGED))))
        self._sizes = np.concatenate((self._sizes, np.zeros((more, LOGGED), np.int32)))
        self._since = np.concatenate((self._since, np.zeros(more, np.int64)))
        self._free.extend(range(old + more - 1, old - 1, -1))
