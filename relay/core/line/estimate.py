"""What a viewer's line carries, from what arrived of what was sent.

Delay as in draft-ietf-rmcat-gcc-02 (a line fitted to the delay variation, a standing queue) and
loss. A forwarder cannot make its picture a little poorer, only change layers; so the estimate is
not a rate to send at but a bound that was seen: it falls to what came through when the line was
full, and rises to what came through without filling it. It never creeps up by itself: a probe
(`probe.py`) or the picture has to show it.

Loss without delay may be the line's own, whatever is sent. Then sending less is no remedy: when
the loss stays although less is sent, it becomes the *floor*, and only more than that counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from relay.core.line.feedback import Arrival
from relay.core.receive_bandwidth import DelayTrend, Usage

CAPACITY_WINDOW_MS = 200.0
"""What came through in this time while the line was full is what it carries."""
PROVEN_WINDOW_MS = 500.0
LOSS_WINDOW_MS = 1000.0
LOSS_LIMIT = 0.10
SUDDEN_LOSS = 0.4
"""Share of one feedback's packets that tells a collapse at once."""
SUDDEN_PACKETS = 8
MIN_PACKETS = 20
BACKOFF = 0.92
"""Of what came through: the rest empties the queue."""
DECREASE_INTERVAL_MS = 250.0
FLOOR_TRIAL_MS = 1500.0
FLOOR_SHARE = 0.6
FLOOR_FADE_PER_S = 0.02
DELAYED_MS = 60.0
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
        self.trend = DelayTrend()
        self._came: deque[tuple[float, int]] = deque()
        self._window: deque[tuple[float, int, int]] = deque()
        self._decreased_ms = float("-inf")
        self._trial: tuple[float, float, float] | None = None
        """(since, loss then, bound then) of a fall for loss alone."""
        self._fed_ms: float | None = None

    @property
    def delay_ms(self) -> float:
        """Queue on the way."""
        return self.trend.queue_ms

    @property
    def clear(self) -> bool:
        """Neither delay nor loss grow."""
        return self.trend.usage is not Usage.OVERUSE and not self._lossy(LOSS_LIMIT / 2)

    def on_arrivals(self, arrivals: Sequence[Arrival], now_ms: float) -> bool:
        """Take one feedback. True when the line is full now."""
        if not arrivals:
            return False
        self._fade(now_ms)
        came = [a for a in arrivals if a.arrived_ms is not None]
        full = False
        for arrival in came:
            if arrival.arrived_ms is None:
                continue
            self._came.append((arrival.arrived_ms, arrival.size_bytes * 8))
            if self.trend.on_packet(arrival.sent_ms, arrival.arrived_ms):
                full = full or self.trend.usage is Usage.OVERUSE
        self._forget()
        self._count_loss(len(arrivals), len(arrivals) - len(came), now_ms)
        sudden = len(arrivals) >= SUDDEN_PACKETS and len(arrivals) - len(came) > (
            SUDDEN_LOSS + self.loss_floor
        ) * len(arrivals)
        lossy = sudden or self._lossy(LOSS_LIMIT)
        if full or lossy:
            self._on_full(now_ms, by_loss=not full)
        elif self.trend.usage is Usage.NORMAL:
            self.bps = max(self.bps, self.came_bps(PROVEN_WINDOW_MS))
        self._judge_trial(now_ms)
        return full or lossy

    def on_bound(self, bps: float, now_ms: float) -> None:
        """Another sign says that the line carries no more than this."""
        if bps < self.bps:
            self.bps = max(bps, MIN_BPS)
            self._decreased_ms = self.congested_ms = now_ms

    def on_proven(self, bps: float) -> None:
        """A probe came through at this rate."""
        self.bps = max(self.bps, bps)
        self._trial = None

    def forgive(self) -> None:
        """Nothing speaks against any rate any more."""
        self.bps = UNKNOWN_BPS
        self._trial = None

    def came_bps(self, window_ms: float) -> float:
        """What arrived in the last `window_ms` of the viewer's clock."""
        if not self._came:
            return 0.0
        since_ms = self._came[-1][0] - window_ms
        return sum(bits for at_ms, bits in self._came if at_ms > since_ms) * 1000 / window_ms

    def _on_full(self, now_ms: float, *, by_loss: bool) -> None:
        self.congested_ms = now_ms
        if now_ms - self._decreased_ms < DECREASE_INTERVAL_MS:
            return
        bound = max(self.came_bps(CAPACITY_WINDOW_MS) * BACKOFF, MIN_BPS)
        if bound >= self.bps:
            return
        if by_loss and self.delay_ms < DELAYED_MS and self._trial is None:
            rate = self.came_bps(PROVEN_WINDOW_MS) / max(0.05, 1 - self.loss_ratio)
            self._trial = (now_ms, self.loss_ratio, min(self.bps, rate))
        self.bps = bound
        self._decreased_ms = now_ms

    def _judge_trial(self, now_ms: float) -> None:
        """Less was sent: did the loss go away?"""
        if self._trial is None or now_ms - self._trial[0] < FLOOR_TRIAL_MS:
            return
        _, loss_then, bound_then = self._trial
        self._trial = None
        if self._sent() >= MIN_PACKETS // 2 and self.loss_ratio >= FLOOR_SHARE * loss_then:
            self.loss_floor = max(self.loss_floor, self.loss_ratio)
            self.bps = max(self.bps, bound_then)

    def _lossy(self, limit: float) -> bool:
        return self._sent() >= MIN_PACKETS and self.loss_ratio > limit + 1.2 * self.loss_floor

    def _count_loss(self, sent: int, lost: int, now_ms: float) -> None:
        self._window.append((now_ms, sent, lost))
        while self._window[0][0] < now_ms - LOSS_WINDOW_MS:
            self._window.popleft()
        self.loss_ratio = sum(w[2] for w in self._window) / max(1, self._sent())

    def _sent(self) -> int:
        return sum(w[1] for w in self._window)

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
