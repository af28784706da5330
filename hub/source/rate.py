"""How much the encoder may send, from what the receiver reports (sans-I/O, deliberately simple).

A ward's line is usually idle but for us, so the full rate is assumed at once and given up only
when packets are lost: down at once, by half the loss, or to what REMB says gets through; up again
by a twelfth a second. Transport-wide feedback is read for its losses only.
"""

from __future__ import annotations

MIN_BITRATE = 300_000
LOSS_HIGH, LOSS_LOW = 0.08, 0.02
DOWN_GAP_MS = 1000.0
UP_FACTOR_PER_S = 1.08
LOSSY_FOR_MS = 5000.0
"""REMB counts for this long after a loss: an estimate alone, on a clean line, is a guess."""


class RateController:
    """`target_bps` is what the video encoder should aim at, MIN_BITRATE … `full_bps`."""

    def __init__(self, full_bps: int, now_ms: float) -> None:
        self._full = full_bps
        self._target = float(full_bps)
        self._last_down_ms = float("-inf")
        self._last_up_ms = now_ms
        self._last_loss_ms = float("-inf")
        self._feedback_lost = 0
        self._feedback_packets = 0

    @property
    def target_bps(self) -> int:
        """Rounded to 50 kbit/s: an encoder is not retuned for less."""
        return max(min(MIN_BITRATE, self._full), min(self._full, round(self._target / 5e4) * 50000))

    def on_loss(self, fraction: float, now_ms: float) -> None:
        """`fraction` (0 … 1) of the video packets since the last report were lost."""
        if fraction > LOSS_LOW:
            self._last_loss_ms = now_ms
        if fraction > LOSS_HIGH:
            if now_ms - self._last_down_ms >= DOWN_GAP_MS:
                self._set(self._target * (1 - 0.5 * fraction))
                self._last_down_ms = now_ms
        elif fraction <= LOSS_LOW:
            elapsed_s = min(2.0, (now_ms - max(self._last_up_ms, self._last_down_ms)) / 1000)
            if elapsed_s > 0:
                self._set(self._target * UP_FACTOR_PER_S**elapsed_s)
        self._last_up_ms = now_ms

    def on_remb(self, bits_per_second: int, now_ms: float) -> None:
        """The receiver's estimate; heeded while losses are fresh."""
        if now_ms - self._last_loss_ms < LOSSY_FOR_MS and bits_per_second < self._target:
            self._set(bits_per_second)

    def on_transport_feedback(self, received: int, lost: int, now_ms: float) -> None:
        """Counts of one transport-cc packet; they act as a loss report per hundred packets."""
        self._feedback_lost += lost
        self._feedback_packets += received + lost
        if self._feedback_packets >= 100:
            fraction = self._feedback_lost / self._feedback_packets
            self._feedback_lost = self._feedback_packets = 0
            self.on_loss(fraction, now_ms)

    def _set(self, bits_per_second: float) -> None:
        low = min(MIN_BITRATE, self._full)
        self._target = min(float(self._full), max(float(low), bits_per_second))
