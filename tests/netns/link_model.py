"""A bad line, one way: what becomes of each packet, and when. No I/O, no clock; seeded.

Packets are fed with the time, `poll` hands out those that are due, `next_deadline_ms` tells when
to come again. A packet is, in this order: too long, lost, kept waiting by the rate (or lost when
the queue is full), delayed, doubled.
"""

from __future__ import annotations

import enum
import heapq
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
HEADER_BYTES = 28
"""IPv4 and UDP: they count for the rate and for the MTU."""
MAX_PACKETS = 20_000
"""Under way at once; more are lost."""


class LinkDrop(enum.StrEnum):
    """Why a packet did not arrive."""

    CUT = "cut"
    TOO_LONG = "too long"
    LOST = "lost"
    QUEUE_FULL = "queue full"


@dataclass(frozen=True)
class LinkSettings:
    """Of one way.

    delay_ms: of every packet. jitter_ms: up to so much more, evenly spread; order is kept.
    loss, duplicate, reorder: share of packets, 0 … 1. loss_run: packets lost in a row, on average;
    0: each by itself. reorder_ms: what a reordered packet is later than its turn.
    rate_kbit: headers included, 0 is any. queue_ms: what has to wait longer for the rate is lost.
    mtu: bytes with headers, longer packets vanish; 0 is any.
    Raises ValueError.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    loss_run: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 20.0
    rate_kbit: float = 0.0
    queue_ms: float = 100.0
    mtu: int = 0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} {value}: not negative, not endless")
        for name in ("loss", "duplicate", "reorder"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} {getattr(self, name)}: a share, 0 … 1")
        if self.loss_run and self.loss < 1 and (self.loss_run < 1 or self.run_begins > 1):
            raise ValueError(f"loss_run {self.loss_run}: too short for a loss of {self.loss}")

    @property
    def run_begins(self) -> float:
        """Probability that a packet is the first lost one of a run (Gilbert's model). loss < 1."""
        return self.loss / (1 - self.loss) / self.loss_run


class LinkModel(Generic[T]):
    """One way of a line. drops: packets that did not arrive, by reason."""

    def __init__(self, settings: LinkSettings, seed: int) -> None:
        self.drops: Counter[LinkDrop] = Counter()
        self.delivered = 0
        self.duplicated = 0
        self.reordered = 0
        self.cut = False
        """Packets vanish; those under way still arrive."""
        self.held = False
        """Packets wait, and come all at once afterwards."""
        self._dice = random.Random(seed)
        self._under_way: list[tuple[float, int, T]] = []
        self._number = 0
        self._in_run = False
        self._line_free_ms = 0.0
        self._last_due_ms = 0.0
        self.settings = settings

    def feed(self, packet: T, size: int, now_ms: float) -> None:
        """A packet comes to the line. size: bytes, without the headers of UDP and IP."""
        reason = self._refusal(size)
        if reason is None:
            due_ms = self._through_the_rate(size, now_ms)
            reason = LinkDrop.QUEUE_FULL if due_ms is None else None
        if reason is not None:
            self.drops[reason] += 1
            return
        assert due_ms is not None
        due_ms = self._delayed(due_ms)
        self._send_off(packet, due_ms)
        if self._happens(self.settings.duplicate):
            self.duplicated += 1
            self._send_off(packet, due_ms)

    def poll(self, now_ms: float) -> list[T]:
        """Packets that have arrived by now, in order of arrival."""
        arrived: list[T] = []
        while not self.held and self._under_way and self._under_way[0][0] <= now_ms:
            arrived.append(heapq.heappop(self._under_way)[2])
        self.delivered += len(arrived)
        return arrived

    def next_deadline_ms(self) -> float:
        """When the next packet arrives; infinity when none is under way or all are held."""
        return self._under_way[0][0] if self._under_way and not self.held else math.inf

    def _refusal(self, size: int) -> LinkDrop | None:
        settings = self.settings
        if self.cut:
            return LinkDrop.CUT
        if settings.mtu and size + HEADER_BYTES > settings.mtu:
            return LinkDrop.TOO_LONG
        if self._is_lost():
            return LinkDrop.LOST
        return LinkDrop.QUEUE_FULL if len(self._under_way) >= MAX_PACKETS else None

    def _is_lost(self) -> bool:
        settings = self.settings
        if not settings.loss_run or settings.loss in (0, 1):
            return self._happens(settings.loss)
        if self._in_run:
            self._in_run = not self._happens(1 / settings.loss_run)
        else:
            self._in_run = self._happens(settings.run_begins)
        return self._in_run

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._dice.random() < probability

    def _through_the_rate(self, size: int, now_ms: float) -> float | None:
        """When its last bit is on the line, None when the queue is full."""
        settings = self.settings
        if not settings.rate_kbit:
            return now_ms
        begins_ms = max(now_ms, self._line_free_ms)
        if begins_ms - now_ms > settings.queue_ms:
            return None
        self._line_free_ms = begins_ms + (size + HEADER_BYTES) * 8 / settings.rate_kbit
        return self._line_free_ms

    def _delayed(self, sent_ms: float) -> float:
        settings = self.settings
        due_ms = sent_ms + settings.delay_ms
        if settings.jitter_ms:
            due_ms += self._dice.random() * settings.jitter_ms
        due_ms = max(due_ms, self._last_due_ms)
        if self._happens(settings.reorder):
            self.reordered += 1
            return due_ms + settings.reorder_ms  # those behind it do not wait for it
        self._last_due_ms = due_ms
        return due_ms

    def _send_off(self, packet: T, due_ms: float) -> None:
        self._number += 1
        heapq.heappush(self._under_way, (due_ms, self._number, packet))
