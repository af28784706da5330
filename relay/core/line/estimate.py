"""What a viewer's line carries, from what arrived of what was sent.

A queue that stands or is deep, and loss, say that the line is full. A forwarder cannot make its
picture a little poorer, only change layers; so the estimate is not a rate to send at but a bound
that was seen: it falls to what came through when the line was full, and rises to what came through
without filling it. It never creeps up by itself: a probe (`probe.py`) or the picture has to show
it.

Loss without delay may be the line's own, whatever is sent. Then sending less is no remedy: when
the loss stays although less is sent, it becomes the *floor*, and only more than that counts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from relay.core.line.feedback import Arrival
from relay.core.line.queue_delay import QueueDelay

CAPACITY_WINDOW_MS, THIN_WINDOW_MS, FEW_PACKETS = 200.0, 800.0, 12
"""What came through in this time while the line was full is what it carries; of few packets a
longer time."""
PROVEN_WINDOW_MS = 1500.0
LOSS_WINDOW_MS = 1000.0
LOSS_LIMIT = 0.15
CONFIDENCE = 1.5
"""Standard errors by which a loss must be above its limit: a few packets prove nothing."""
COLLAPSES = ((0.4, 200.0, 25), (0.55, 400.0, 12))
"""(loss, in so many ms, of so many packets): it tells itself without waiting for a whole window."""
MIN_PACKETS = 20
STALE_MS = 400.0
"""Without feedback for this long nothing is known."""
STANDING_QUEUE_MS, DEEP_QUEUE_MS = 60.0, 250.0
TALL_QUEUE_MS, TALL_WINDOW_MS = 120.0, 200.0
"""A queue of this height need not stand as long."""
EASY_QUEUE_MS = 25.0
BACKOFF = 0.92
"""Of what came through: the rest empties the queue."""
DECREASE_INTERVAL_MS = 250.0
STUBBORN_MS, STUBBORN_BACKOFF = 800.0, 0.85
"""A queue that stands this long although less is sent needs less still."""
FLOOR_TRIAL_MS = 1200.0
WELL_BELOW = 0.75
"""A loss while so much less is sent than the line carries is the line's own."""
FLOOR_MARGIN, FLOOR_FADE_PER_S = 0.04, 0.02
MIN_BPS = 30_000.0
UNKNOWN_BPS = float("inf")


class LineEstimate:
    """One viewer's line. bps: the bound, infinity while nothing speaks against any rate.

    loss_ratio: of the last second. loss_floor: what the line loses whatever is sent.
    congested_ms: when the line was last full, minus infinity if never.
    """

    def __init__(self, bps: float = UNKNOWN_BPS) -> None:
        self.bps = bps
        self.loss_ratio = 0.0
        self.loss_floor = 0.0
        self.congested_ms = float("-inf")
        self.queue = QueueDelay()
        self._came: deque[tuple[float, int]] = deque()
        self._window: deque[tuple[float, int, int, int]] = deque()
        """(when, packets sent, of them lost, bits sent)"""
        self._sent = 0
        self._sent_bps = 0.0
        self._decreased_ms = float("-inf")
        self._fell_from_bps: float | None = None
        """Where a fall for loss alone began."""
        self._fed_ms: float | None = None
        self._full_since_ms = float("inf")

    @property
    def delay_ms(self) -> float:
        """Queue on the way."""
        return max(0.0, self.queue.newest_ms)

    def clear(self, now_ms: float) -> bool:
        """Neither delay nor loss speak against more."""
        if self._fed_ms is None or now_ms - self._fed_ms > STALE_MS:
            return True
        return self.queue.standing_ms() < EASY_QUEUE_MS and not self._lossy(LOSS_LIMIT / 2)

    @property
    def own_loss(self) -> float:
        """What the line loses without being full, as far as that is known."""
        empty = self.queue.standing_ms() < EASY_QUEUE_MS
        return max(self.loss_floor, self.loss_ratio if empty else 0.0)

    def on_arrivals(
        self, arrivals: Sequence[Arrival], now_ms: float, *, probing: bool = False
    ) -> bool:
        """Take one feedback. True when the line is full now. probing: padding is under way, whose
        verdict is the prober's."""
        if not arrivals:
            return False
        self._fade(now_ms)
        for arrival in arrivals:
            if arrival.arrived_ms is None:
                continue
            self._came.append((arrival.arrived_ms, arrival.size_bytes * 8))
            self.queue.on_packet(arrival.sent_ms, arrival.arrived_ms)
        self._forget()
        self._count(arrivals, now_ms)
        much = self.bps == UNKNOWN_BPS or self._sent_bps > WELL_BELOW * self.bps
        seen = now_ms - self._decreased_ms > LOSS_WINDOW_MS + 200.0
        by_loss = much and seen and self._lossy(LOSS_LIMIT)
        queue = self.queue
        waits = (
            queue.newest_ms > DEEP_QUEUE_MS
            or queue.standing_ms(TALL_WINDOW_MS) > TALL_QUEUE_MS
            or queue.standing_ms() > STANDING_QUEUE_MS
        )
        if waits or by_loss or self._collapsed(now_ms):
            self._full_since_ms = min(self._full_since_ms, now_ms)
            self._on_full(now_ms, by_loss=by_loss and not waits)
            return True
        self._full_since_ms = float("inf")
        if queue.standing_ms() < EASY_QUEUE_MS and not probing:
            if self.bps != UNKNOWN_BPS:
                self.bps = max(self.bps, self.came_bps(PROVEN_WINDOW_MS))
            self._learn_floor(now_ms)
        return False

    def on_bound(self, bps: float, now_ms: float) -> None:
        """Another sign says that the line carries no more than this."""
        if bps < self.bps:
            self.bps = max(bps, MIN_BPS)
            self._decreased_ms = self.congested_ms = now_ms

    def on_proven(self, bps: float) -> None:
        """A probe came through at this rate."""
        self.bps = max(self.bps, bps)

    def forgive(self) -> None:
        """Nothing speaks against any rate any more."""
        self.bps = UNKNOWN_BPS
        self._fell_from_bps = None

    def came_bps(self, window_ms: float) -> float:
        """What arrived in the last `window_ms` of the viewer's clock."""
        if not self._came:
            return 0.0
        since_ms = self._came[-1][0] - window_ms
        return sum(bits for at_ms, bits in self._came if at_ms > since_ms) * 1000 / window_ms

    def _capacity_bps(self) -> float:
        since_ms = self._came[-1][0] - CAPACITY_WINDOW_MS if self._came else 0.0
        recent = sum(at_ms > since_ms for at_ms, _ in self._came)
        return self.came_bps(CAPACITY_WINDOW_MS if recent >= FEW_PACKETS else THIN_WINDOW_MS)

    def _on_full(self, now_ms: float, *, by_loss: bool) -> None:
        self.congested_ms = now_ms
        if now_ms - self._decreased_ms < DECREASE_INTERVAL_MS:
            return
        bound = self._capacity_bps() * BACKOFF
        if now_ms - self._full_since_ms >= STUBBORN_MS and self.queue.standing_ms() > TALL_QUEUE_MS:
            bound = min(bound, self.bps * STUBBORN_BACKOFF)
        bound = max(bound, MIN_BPS)
        if bound >= self.bps:
            return
        if by_loss:
            self._fell_from_bps = max(self._fell_from_bps or 0.0, min(self.bps, self._sent_bps))
        else:
            self._fell_from_bps = None
        self.bps = bound
        self._decreased_ms = now_ms

    def _learn_floor(self, now_ms: float) -> None:
        """Little is sent, and still it loses: then more would lose no more than that."""
        settled = now_ms - self._decreased_ms >= FLOOR_TRIAL_MS
        if not settled or self._sent < MIN_PACKETS or self._sent_bps > WELL_BELOW * self.bps:
            return
        if self.bps == UNKNOWN_BPS or self.loss_ratio <= self.loss_floor + FLOOR_MARGIN:
            return
        self.loss_floor = self.loss_ratio
        if self._fell_from_bps is not None:
            self.bps = max(self.bps, self._fell_from_bps)
            self._fell_from_bps = None

    def _lossy(self, limit: float) -> bool:
        sent, loss = self._sent, self.loss_ratio
        if sent < MIN_PACKETS:
            return False
        doubt = CONFIDENCE * math.sqrt(loss * (1 - loss) / sent)
        return loss - doubt > limit + 1.2 * self.loss_floor

    def _collapsed(self, now_ms: float) -> bool:
        for limit, window_ms, packets in COLLAPSES:
            recent = [w for w in self._window if w[0] > now_ms - window_ms]
            sent, lost = sum(w[1] for w in recent), sum(w[2] for w in recent)
            if sent >= packets and lost > (limit + self.loss_floor) * sent:
                return True
        return False

    def _count(self, arrivals: Sequence[Arrival], now_ms: float) -> None:
        lost = sum(1 for a in arrivals if a.arrived_ms is None)
        bits = sum(a.size_bytes for a in arrivals) * 8
        window = self._window
        window.append((now_ms, len(arrivals), lost, bits))
        while window[0][0] < now_ms - LOSS_WINDOW_MS:
            window.popleft()
        self._sent = sum(w[1] for w in window)
        self.loss_ratio = sum(w[2] for w in window) / self._sent
        self._sent_bps = sum(w[3] for w in window) * 1000 / LOSS_WINDOW_MS

    def _forget(self) -> None:
        since_ms = self._came[-1][0] - PROVEN_WINDOW_MS if self._came else 0.0
        while self._came and self._came[0][0] < since_ms:
            self._came.popleft()

    def _fade(self, now_ms: float) -> None:
        """The floor follows the loss down, so that a line that heals is believed."""
        if self._fed_ms is not None:
            elapsed_s = min(5.0, (now_ms - self._fed_ms) / 1000.0)
            faded = self.loss_floor - FLOOR_FADE_PER_S * elapsed_s
            self.loss_floor = max(0.0, min(self.loss_floor, max(faded, self.loss_ratio)))
        self._fed_ms = now_ms
