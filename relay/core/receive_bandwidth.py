"""How much a publisher that understands only REMB may send.

Congestion is read from one-way delay, as in draft-ietf-rmcat-gcc-02 with a line fitted to the
accumulated delay variation, from a standing queue, and from loss. The rate starts generous,
because a sender takes the first seconds' REMB as its starting point and a studio line is
usually good; overuse cuts it below what really came through, and it grows back quickly
while far from the rate that failed, slowly near it.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from relay.core.reception import SlidingRate

DEFAULT_MAX_BPS = 8_000_000
MIN_BPS = 100_000
INITIAL_BPS = 3_000_000

GROUP_MS = 5.0
"""Packets sent within this time are one group; a video frame by its timestamp is one too."""
TREND_WINDOW = 20
SMOOTHING = 0.9
TREND_GAIN = 4.0
MAX_DELTAS = 60
OVERUSE_TIME_MS = 10.0
THRESHOLD_START_MS = 12.5
THRESHOLD_MIN_MS, THRESHOLD_MAX_MS = 6.0, 600.0
THRESHOLD_UP, THRESHOLD_DOWN = 0.0087, 0.039
STANDING_QUEUE_MS = 200.0
PAUSE_MS = 500.0
"""A silence or a jump this long ends a run of groups: the delay before it says nothing."""

BACKOFF = 0.85
HEADROOM = 1.5
"""The rate grows no further above what is really received."""
GROWTH_PER_S = 1.15
NEAR_BPS_PER_S = 60_000.0
NEAR_CEILING = 0.9
CEILING_MEMORY_MS = 10_000.0
DECREASE_INTERVAL_MS = 300.0
LOSS_HIGH, LOSS_LOW = 0.10, 0.02

REPORT_INTERVAL_MS = 1000.0
STARTUP_MS, STARTUP_INTERVAL_MS = 2000.0, 200.0
REPORT_AT_ONCE = 0.97
"""A fall below this share of the last reported rate is reported without waiting."""


class Usage(Enum):
    """What the delay says of the path."""

    NORMAL = "normal"
    OVERUSE = "overuse"
    UNDERUSE = "underuse"


class DelayTrend:
    """Overuse detector over groups of packets.

    usage: the state after the newest group. queue_ms: delay above the lowest of the run.
    """

    def __init__(self) -> None:
        self.usage = Usage.NORMAL
        self.queue_ms = 0.0
        self._threshold_ms = THRESHOLD_START_MS
        self._updated_ms: float | None = None
        self._clear()

    def on_packet(self, send_ms: float, arrival_ms: float) -> bool:
        """Note a packet; True when it began a group and `usage` is fresh.

        send_ms: the sender's clock, any origin. arrival_ms: ours.
        """
        if self._group_send_ms is None:
            self._begin(send_ms, arrival_ms)
            return False
        sent = send_ms - self._group_send_ms
        if sent < -PAUSE_MS or abs(arrival_ms - self._group_arrival_ms) > PAUSE_MS or sent > 10_000:
            self._clear()
            self._begin(send_ms, arrival_ms)
            return False
        if sent <= GROUP_MS:
            return False
        variation = (arrival_ms - self._group_arrival_ms) - sent
        self._begin(send_ms, arrival_ms)
        self._add(variation, arrival_ms)
        return True

    def _clear(self) -> None:
        self.usage = Usage.NORMAL
        self.queue_ms = 0.0
        self._group_send_ms: float | None = None
        self._group_arrival_ms = 0.0
        self._accumulated_ms = 0.0
        self._smoothed_ms = 0.0
        self._lowest_ms = 0.0
        self._deltas = 0
        self._points: deque[tuple[float, float]] = deque(maxlen=TREND_WINDOW)
        self._trend = 0.0
        self._over_since_ms: float | None = None

    def _begin(self, send_ms: float, arrival_ms: float) -> None:
        self._group_send_ms = send_ms
        self._group_arrival_ms = arrival_ms

    def _add(self, variation_ms: float, now_ms: float) -> None:
        self._deltas = min(self._deltas + 1, MAX_DELTAS)
        self._accumulated_ms += variation_ms
        self._smoothed_ms = SMOOTHING * self._smoothed_ms + (1 - SMOOTHING) * self._accumulated_ms
        # The floor creeps up so that clocks that drift apart do not look like a queue.
        self._lowest_ms = min(self._smoothed_ms, self._lowest_ms + 0.02)
        self.queue_ms = self._smoothed_ms - self._lowest_ms
        self._points.append((now_ms, self._smoothed_ms))
        trend = self._slope() if len(self._points) == TREND_WINDOW else 0.0
        self._detect(trend, now_ms)

    def _slope(self) -> float:
        """Least squares: milliseconds of delay per millisecond."""
        count = len(self._points)
        mean_x = sum(x for x, _ in self._points) / count
        mean_y = sum(y for _, y in self._points) / count
        spread = sum((x - mean_x) ** 2 for x, _ in self._points)
        if not spread:
            return 0.0
        return sum((x - mean_x) * (y - mean_y) for x, y in self._points) / spread

    def _detect(self, trend: float, now_ms: float) -> None:
        level = self._deltas * trend * TREND_GAIN
        if level > self._threshold_ms or self.queue_ms > STANDING_QUEUE_MS:
            if self._over_since_ms is None:
                self._over_since_ms = now_ms
            elif now_ms - self._over_since_ms >= OVERUSE_TIME_MS and (
                trend >= self._trend or self.queue_ms > STANDING_QUEUE_MS
            ):
                self.usage = Usage.OVERUSE
        else:
            self._over_since_ms = None
            self.usage = Usage.UNDERUSE if level < -self._threshold_ms else Usage.NORMAL
        self._trend = trend
        self._adapt(level, now_ms)

    def _adapt(self, level: float, now_ms: float) -> None:
        """Follow the level slowly, so that competing TCP flows do not starve us."""
        elapsed = 0.0 if self._updated_ms is None else min(now_ms - self._updated_ms, 100.0)
        self._updated_ms = now_ms
        distance = abs(level) - self._threshold_ms
        if distance > 15.0:
            return
        rate = THRESHOLD_UP if distance > 0 else THRESHOLD_DOWN
        self._threshold_ms += rate * distance * elapsed
        self._threshold_ms = min(max(self._threshold_ms, THRESHOLD_MIN_MS), THRESHOLD_MAX_MS)


class ReceiveBandwidth:
    """Rate to announce by REMB.

    estimate_bps: the current estimate. max_bps: never announces more.
    """

    def __init__(self, max_bps: int = DEFAULT_MAX_BPS, initial_bps: int = INITIAL_BPS) -> None:
        self.max_bps = max_bps
        self.estimate_bps = float(min(initial_bps, max_bps))
        self.trend = DelayTrend()
        self._received = SlidingRate(500.0)
        self._started_ms: float | None = None
        self._updated_ms = 0.0
        self._decreased_ms = float("-inf")
        self._ceiling_bps: float | None = None
        self._loss = 0.0
        self._reported_bps = 0.0
        self._reported_ms = float("-inf")

    def on_packet(self, send_ms: float | None, size: int, now_ms: float) -> None:
        """Note a packet. send_ms: sender's clock, None if it says nothing of delay (audio)."""
        if self._started_ms is None:
            self._started_ms = self._updated_ms = now_ms
        self._received.add(size * 8, now_ms)
        if send_ms is not None and self.trend.on_packet(send_ms, now_ms):
            self._update(now_ms)

    def on_loss(self, fraction: float, now_ms: float) -> None:
        """Share of packets lost on the wire in the last report interval: 0 … 1."""
        self._loss = fraction
        if fraction > LOSS_HIGH:
            measured = self._received.per_second(now_ms)
            self._lower(min(self.estimate_bps, measured * HEADROOM) * (1 - fraction / 2), now_ms)

    def poll(self, now_ms: float) -> int | None:
        """Bit/s to announce now, or None when nothing is due."""
        if now_ms < self.next_deadline_ms():
            return None
        self._reported_ms = now_ms
        self._reported_bps = self.estimate_bps
        return int(self.estimate_bps)

    def next_deadline_ms(self) -> float:
        """When `poll` has something; infinity before the first packet."""
        if self._started_ms is None:
            return float("inf")
        if self.estimate_bps < self._reported_bps * REPORT_AT_ONCE:
            return self._decreased_ms
        starting = self._reported_ms - self._started_ms < STARTUP_MS
        interval = STARTUP_INTERVAL_MS if starting else REPORT_INTERVAL_MS
        return max(self._started_ms, self._reported_ms + interval)

    def _update(self, now_ms: float) -> None:
        elapsed_s = min(now_ms - self._updated_ms, 1000.0) / 1000.0
        self._updated_ms = now_ms
        measured = self._received.per_second(now_ms)
        usage = self.trend.usage
        if usage is Usage.OVERUSE:
            if now_ms - self._decreased_ms >= DECREASE_INTERVAL_MS:
                self._ceiling_bps = measured
                self._lower(measured * BACKOFF, now_ms)
        elif usage is Usage.NORMAL and self._loss <= LOSS_LOW:
            self._grow(measured, elapsed_s, now_ms)

    def _grow(self, measured: float, elapsed_s: float, now_ms: float) -> None:
        limit = min(measured * HEADROOM, float(self.max_bps))
        if self.estimate_bps >= limit:
            return
        if now_ms - self._decreased_ms > CEILING_MEMORY_MS:
            self._ceiling_bps = None
        if self._ceiling_bps is None and self._decreased_ms == float("-inf"):
            self.estimate_bps = limit  # nothing has ever failed: follow the sender upwards
            return
        if self._ceiling_bps is not None and self.estimate_bps > NEAR_CEILING * self._ceiling_bps:
            grown = self.estimate_bps + NEAR_BPS_PER_S * elapsed_s
        else:
            grown = self.estimate_bps * GROWTH_PER_S**elapsed_s
        self.estimate_bps = min(grown, limit)

    def _lower(self, rate_bps: float, now_ms: float) -> None:
        lowered = max(rate_bps, float(MIN_BPS))
        if lowered < self.estimate_bps:
            self.estimate_bps = lowered
            self._decreased_ms = now_ms
