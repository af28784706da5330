"""What a port counts: read at each metrics scrape, written on the hot path."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from relay.core.drops import DropReason

BATCH_BOUNDS = (1, 8, 32, 64, 128, 256, 512, 1024, 2048)
"""Upper bounds of the send-batch histogram, in packets."""


@dataclass(slots=True)
class PortCounters:
    """Totals since the port opened.

    bytes are those of datagrams and of TCP frames without their lengths. gso_trains: messages that
    carried several packets. queued: packets that waited in a peer's UDP queue. overflow: packets
    that a queue's bound threw away. send_errors: by errno.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    drops: Counter[DropReason] = field(default_factory=Counter)
    send_errors: Counter[int] = field(default_factory=Counter)
    gso_trains: int = 0
    queued: int = 0
    overflow: int = 0
    batches: int = 0
    batch_packets: int = 0
    batch_counts: list[int] = field(default_factory=lambda: [0] * (len(BATCH_BOUNDS) + 1))

    def count_batch(self, packets: int) -> None:
        """One send batch of that many packets."""
        self.batches += 1
        self.batch_packets += packets
        self.batch_counts[bisect_left(BATCH_BOUNDS, packets)] += 1

    def batch_histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative (upper bound, batches) ending with "+Inf", and the sum of packets."""
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip([*map(str, BATCH_BOUNDS), "+Inf"], self.batch_counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, float(self.batch_packets)
