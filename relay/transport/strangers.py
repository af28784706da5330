"""Media from an address that nobody is known at: a viewer whose translator gave it another one.

A lite agent learns addresses from checks, and a browser checks its path every two or three seconds.
Its reports come sooner. A packet that opens with a peer's keys, and that is newer than all before
it, can only come from that peer: its address is followed at once, and the next check confirms it or
moves on. Newer by its index, not by the replay window alone: who has held a packet back cannot use
it later. Who hears a packet and is faster with it than its sender gains what repeating a check
would gain, until the sender's next check; without one the session ends (`IceAgent.follow`).

Trying keys costs, so it is bounded: by SSRC and index (Newest) first, by silence, and by the
moment, for each address and in all. Sans-I/O; times are monotonic milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from relay.transport.peer import Peer

WINDOW_MS = 100.0
PACKETS_PER_WINDOW = 20
"""Looked at; in a flood, viewers that move are found by their next check."""
PACKETS_PER_ADDRESS = 4
"""In a window: one address cannot silence the rest. A publisher's next packet comes soon."""
TRIES_PER_PACKET = 16
SILENT_MS = 60.0
"""Who has just been heard at its own address has not moved."""


class Strangers:
    """Finds whose packet it is. refused: packets not looked at because too many came.

    Addresses are remembered for a window, at most PACKETS_PER_WINDOW of them.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._began_ms = float("-inf")
        self._looked_at = 0
        self._by_address: Counter[Hashable] = Counter()

    def candidates(
        self, peers: Iterable[Peer], data: bytes, source: Hashable, *, rtcp: bool, now_ms: float
    ) -> list[Peer]:
        """Peers that may have sent an SRTP or SRTCP packet, the likeliest first; none while too
        many strangers come. Only those that wait for checks and have been silent for a moment.

        source: names the address it came from.
        """
        if not self._take(source, now_ms):
            return []
        likely: list[tuple[int, int, Peer]] = []
        for peer in peers:
            ahead = peer.ahead(data, rtcp=rtcp)
            if ahead and peer.silent_ms(now_ms) >= SILENT_MS and peer.follows:
                likely.append((ahead, peer.index, peer))
        likely.sort()
        return [peer for _, _, peer in likely[:TRIES_PER_PACKET]]

    def _take(self, source: Hashable, now_ms: float) -> bool:
        if now_ms - self._began_ms >= WINDOW_MS:
            self._began_ms, self._looked_at = now_ms, 0
            self._by_address.clear()
        of_this = self._by_address[source]
        if self._looked_at >= PACKETS_PER_WINDOW or of_this >= PACKETS_PER_ADDRESS:
            self.refused += 1
            return False
        self._looked_at += 1
        self._by_address[source] += 1
        return True
