"""Media from an address that nobody is known at: a viewer whose translator gave it another one.

A lite agent learns addresses from checks, and a browser checks its path every two or three seconds.
Its reports come sooner. A packet that opens with a peer's keys, and that is newer than all before
it (SRTP's replay window sees to that), can only come from that peer: its address is followed at
once, and the next check confirms it or moves on. Trying keys costs, so it is bounded: by the SSRC
first, then by silence, and in all by the second.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.transport.peer import Peer

PACKETS_PER_S, PACKETS_BURST = 200.0, 100.0
"""Looked at; in a flood, viewers that move are found by their next check."""
TRIES_PER_PACKET = 48
SILENT_MS = 60.0
"""Who has just been heard at its own address has not moved."""


class Strangers:
    """Finds whose packet it is. refused: packets not looked at because too many came."""

    def __init__(self) -> None:
        self.refused = 0
        self._left = PACKETS_BURST
        self._refilled_ms: float | None = None

    def candidates(self, peers: Iterable[Peer], data: bytes, now_ms: float) -> list[Peer]:
        """Peers that may have sent an SRTP or SRTCP packet, longest silent first; none while too
        many strangers come. Only those that wait for checks and have been silent for a moment."""
        if not self._take(now_ms):
            return []
        ssrc = data[4:8] if 192 <= data[1] < 224 else data[8:12]
        silent: list[tuple[float, int, Peer]] = []
        for peer in peers:
            life_ms = peer.ice.last_life_ms
            if life_ms is not None and now_ms - life_ms >= SILENT_MS and peer.follows:
                silent.append((life_ms, peer.index, peer))
        silent.sort()
        return [peer for _, _, peer in silent if peer.has_sent(ssrc)][:TRIES_PER_PACKET]

    def _take(self, now_ms: float) -> bool:
        if self._refilled_ms is not None:
            gained = (now_ms - self._refilled_ms) * PACKETS_PER_S / 1000
            self._left = min(PACKETS_BURST, self._left + gained)
        self._refilled_ms = now_ms
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True
