"""Cheap signs that a line is in trouble: reports, NACKs and REMB of a viewer not watched."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

LOSS_SIGN = 0.03
BOUND_LOSS = 0.15
NACKS_SIGN = 8
NACK_WINDOW_MS = 1000.0
FLOOD_WINDOW_MS, FLOOD_NACKS, FLOOD_SHARE = 300.0, 25, 0.5
"""So many packets missed at once, such a share of what was sent: the line collapsed."""
FLOOD_LEAVES = 0.25
MEAN_PACKET_BITS = 9600.0
RTT_FACTOR, RTT_MARGIN_MS = 2.0, 120.0
REMB_FALL = 0.9
REMB_NEAR = 1.2
"""A REMB below so many times what is sent may soon bind."""


class LineSigns:
    """Each method returns whether the sign is a bad one."""

    def __init__(self) -> None:
        self._lowest_rtt_ms: float | None = None
        self._nacks: deque[tuple[float, int]] = deque()
        self._highest_nacked: int | None = None
        self._highest_remb_bps = 0.0

    def on_report(self, loss_ratio: float, rtt_ms: float | None) -> bool:
        """loss_ratio: since the report before, 0 … 1."""
        far = False
        if rtt_ms is not None:
            lowest = rtt_ms if self._lowest_rtt_ms is None else min(self._lowest_rtt_ms, rtt_ms)
            self._lowest_rtt_ms = lowest + 0.02 * (rtt_ms - lowest)
            far = rtt_ms > RTT_FACTOR * lowest + RTT_MARGIN_MS
        return far or loss_ratio > LOSS_SIGN

    def on_nacks(self, seqs: Sequence[int], now_ms: float) -> bool:
        """A NACK for these 16-bit numbers; those asked for again do not count."""
        highest = self._highest_nacked
        fresh = [s for s in seqs if highest is None or 0 < ((s - highest) & 0xFFFF) < 0x8000]
        if fresh:
            self._highest_nacked = fresh[-1]
            self._nacks.append((now_ms, len(fresh)))
        while self._nacks and self._nacks[0][0] < now_ms - NACK_WINDOW_MS:
            self._nacks.popleft()
        return sum(count for _, count in self._nacks) >= NACKS_SIGN

    def flooded(self, sent_bps: float, now_ms: float) -> float | None:
        """What a line may carry that has just collapsed under `sent_bps`, else None. A low guess:
        feedback will tell within a second, and the sound must not drown meanwhile."""
        lost = sum(count for at_ms, count in self._nacks if at_ms > now_ms - FLOOD_WINDOW_MS)
        sent = sent_bps / MEAN_PACKET_BITS * FLOOD_WINDOW_MS / 1000
        if not sent or lost < FLOOD_NACKS or lost < FLOOD_SHARE * sent:
            return None
        return sent_bps * FLOOD_LEAVES

    def on_remb(self, remb_bps: float, sent_bps: float) -> bool:
        """A REMB that has fallen and comes near what is sent."""
        fallen = remb_bps < REMB_FALL * self._highest_remb_bps
        self._highest_remb_bps = max(remb_bps, 0.98 * self._highest_remb_bps)
        if fallen and remb_bps < REMB_NEAR * sent_bps:
            self._highest_remb_bps = remb_bps
            return True
        return False

    @staticmethod
    def bound_by_loss(loss_ratio: float, sent_bps: float) -> float | None:
        """What a line carries that loses this much of what is sent, where nothing else tells."""
        return sent_bps * (1 - loss_ratio) if loss_ratio > BOUND_LOSS and sent_bps else None
