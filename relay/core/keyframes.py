"""When to ask a publisher for a key frame: one place, all viewers' wishes joined.

A key frame costs several times an ordinary frame, so requests are limited by the share of the
stream's bitrate that requested key frames may take, not by a fixed interval: a slide show may be
asked often, a busy hall seldom. A wish that comes too early is kept and fires later, unless a key
frame arrives by itself. A request that is not answered is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

COST_SHARE = 0.2
"""Largest share of the bitrate that requested key frames may take."""

MIN_INTERVAL_MS = 500.0
MAX_INTERVAL_MS = 3000.0
RETRY_MS = 300.0
"""A request without a key frame after this (and twice the round trip) is repeated."""

MAX_RETRIES = 8


@dataclass(slots=True)
class KeyframeCounters:
    """asked: wishes of viewers; sent: requests sent upstream; suppressed: joined or put off;
    cache_served: answered from the kept group of pictures."""

    asked: int = 0
    sent: int = 0
    suppressed: int = 0
    cache_served: int = 0


class KeyframeRequester:
    """Joins and limits the key-frame requests of one source."""

    def __init__(self) -> None:
        self.counters = KeyframeCounters()
        self._wanted = False
        self._last_sent_ms = float("-inf")
        self._last_keyframe_ms = float("-inf")
        self._retries = 0
        self._interval_ms = MIN_INTERVAL_MS
        self.rtt_ms = 50.0

    @property
    def pending(self) -> bool:
        """A key frame was asked for and has not come yet."""
        return self._last_sent_ms > self._last_keyframe_ms

    @property
    def untried(self) -> bool:
        """The source has never been asked."""
        return self._last_sent_ms == float("-inf")

    def want(self, now_ms: float) -> None:
        """A viewer needs a key frame."""
        self.counters.asked += 1
        if self._wanted or now_ms < self._earliest_ms():
            self.counters.suppressed += 1
        if self._retries > MAX_RETRIES and now_ms - self._last_sent_ms > MAX_INTERVAL_MS:
            self._retries = 0
        self._wanted = True

    def on_keyframe(self, keyframe_bytes: float, bitrate_bps: float, now_ms: float) -> None:
        """A key frame began; `keyframe_bytes` is the size of a recent one, 0 when unknown."""
        self._last_keyframe_ms = now_ms
        self._wanted = False
        self._retries = 0
        if keyframe_bytes > 0 and bitrate_bps > 0:
            cost_ms = keyframe_bytes * 8 / (COST_SHARE * bitrate_bps) * 1000
            self._interval_ms = min(MAX_INTERVAL_MS, max(MIN_INTERVAL_MS, cost_ms))

    def poll(self, now_ms: float) -> bool:
        """True when a request is to be sent upstream now."""
        if not self._wanted or now_ms < self._earliest_ms() or self._retries > MAX_RETRIES:
            return False
        self._retries += 1
        self._last_sent_ms = now_ms
        self.counters.sent += 1
        return True

    def next_deadline_ms(self) -> float:
        """When `poll` may next say yes; infinity when nobody waits."""
        if not self._wanted or self._retries > MAX_RETRIES:
            return float("inf")
        return self._earliest_ms()

    def expected_wait_ms(self, now_ms: float) -> float:
        """Milliseconds until a key frame wished for now would begin to arrive."""
        return max(0.0, self._earliest_ms() - now_ms) + self.rtt_ms + 40.0

    def _earliest_ms(self) -> float:
        if self.pending:
            return self._last_sent_ms + max(RETRY_MS, 2 * self.rtt_ms)
        return max(self._last_sent_ms, self._last_keyframe_ms) + self._interval_ms
