"""The REMB estimator on simulated lines: a bottleneck with a queue, an encoder that obeys."""

import random
from dataclasses import dataclass

import pytest

from relay.core.receive_bandwidth import (
    INITIAL_BPS,
    MIN_BPS,
    DelayTrend,
    ReceiveBandwidth,
    Usage,
)

FRAME_MS = 1000 / 30
PACKET_BYTES = 1200


@dataclass
class Line:
    """A rate-limited uplink: packets wait their turn, and are lost when the wait is too long.

    stall_ms: the receiver reads nothing in the first so many milliseconds of each second.
    """

    rate_bps: float
    queue_ms: float = 400.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    one_way_ms: float = 20.0
    stall_ms: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        self.free_at = 0.0

    def carry(self, sent_ms: float, size: int) -> float | None:
        """Arrival time, or None when the packet is lost."""
        start = max(sent_ms, self.free_at)
        if start - sent_ms > self.queue_ms or self.random.random() < self.loss:
            return None
        self.free_at = start + size * 8000 / self.rate_bps
        at = self.free_at + self.one_way_ms + self.random.uniform(0, self.jitter_ms)
        in_second = at % 1000
        return at - in_second + self.stall_ms if in_second < self.stall_ms else at


def run(
    line: Line,
    seconds: float,
    *,
    bandwidth: ReceiveBandwidth | None = None,
    encoder_bps: float = 300_000,
    encoder_max_bps: float = 2_500_000,
    start_s: float = 0.0,
    clock_ratio: float = 1.0,
) -> tuple[ReceiveBandwidth, list[float], float]:
    """Send 30 frames a second at the announced rate.

    Returns the estimator, the bits sent in each second, and the longest delay in ms.
    """
    bandwidth = bandwidth or ReceiveBandwidth()
    sent = [0.0] * int(seconds)
    worst_ms = 0.0
    target = encoder_bps
    lost = received = 0
    next_loss_ms = start_s * 1000 + 1000
    for frame in range(int(seconds * 30)):
        now = start_s * 1000 + frame * FRAME_MS
        for _ in range(max(1, round(target / 30 / 8 / PACKET_BYTES))):
            sent[int(frame / 30)] += PACKET_BYTES * 8
            at = line.carry(now, PACKET_BYTES)
            if at is None:
                lost += 1
                continue
            received += 1
            if now - start_s * 1000 > 3000:
                worst_ms = max(worst_ms, at - now)
            bandwidth.on_packet(now * clock_ratio, PACKET_BYTES, at)
        if now >= next_loss_ms:
            bandwidth.on_loss(lost / max(1, lost + received), now)
            lost = received = 0
            next_loss_ms = now + 1000
        rate = bandwidth.poll(now)
        if rate is not None:
            target = min(encoder_max_bps, rate)
    return bandwidth, sent, worst_ms


@pytest.mark.parametrize("jitter_ms", [0.0, 5.0, 15.0])
def test_a_good_line_reaches_the_budget_within_five_seconds(jitter_ms: float) -> None:
    bandwidth, sent, _ = run(Line(50_000_000, jitter_ms=jitter_ms), 20)
    assert sent[4] >= 2_300_000
    assert min(sent[4:]) >= 2_000_000
    assert bandwidth.estimate_bps >= 2_500_000


def test_a_receiver_that_stalls_now_and_then_is_no_queue() -> None:
    """Once a second nothing is read for 60 ms, then everything at once."""
    _, sent, _ = run(Line(50_000_000, stall_ms=60.0, jitter_ms=3.0), 20)
    assert min(sent[4:]) >= 2_000_000


def test_key_frames_are_no_queue() -> None:
    """A key frame every second, ten times a frame, on a line with little to spare."""
    line, bandwidth = Line(4_000_000), ReceiveBandwidth()
    for frame in range(600):
        now = frame * FRAME_MS
        for _ in range(60 if frame % 30 == 0 else 6):
            at = line.carry(now, PACKET_BYTES)
            assert at is not None
            bandwidth.on_packet(now, PACKET_BYTES, at)
    assert bandwidth.estimate_bps >= 2_000_000


def test_a_thin_line_is_not_flooded() -> None:
    bandwidth, sent, worst_ms = run(Line(1_000_000), 30)
    assert max(sent[5:]) <= 1_300_000
    assert sum(sent[10:]) / 20 >= 600_000
    assert worst_ms < 420
    assert bandwidth.estimate_bps <= 1_600_000


def test_recovers_when_the_line_does() -> None:
    bandwidth, sent, _ = run(Line(800_000), 10)
    assert sent[-1] < 1_000_000
    _, sent, _ = run(Line(20_000_000), 20, bandwidth=bandwidth, start_s=10, encoder_bps=700_000)
    assert sent[-1] >= 2_300_000


def test_heavy_loss_lowers_and_light_loss_does_not() -> None:
    _, light, _ = run(Line(50_000_000, loss=0.01), 15)
    assert light[-1] >= 2_300_000
    _, heavy, _ = run(Line(50_000_000, loss=0.3), 15)
    assert heavy[-1] < 1_500_000


def test_clocks_that_drift_are_no_queue() -> None:
    _, sent, _ = run(Line(50_000_000), 60, clock_ratio=1 - 200e-6)
    assert min(sent[5:]) >= 2_300_000


def test_a_pause_and_a_jump_of_the_senders_clock_are_no_queue() -> None:
    trend = DelayTrend()
    for frame in range(60):
        trend.on_packet(frame * FRAME_MS, frame * FRAME_MS)
    for frame in range(60):  # ten seconds later, with a clock that stood still meanwhile
        trend.on_packet(2000 + frame * FRAME_MS, 12_000 + frame * FRAME_MS)
        assert trend.usage is Usage.NORMAL
    for frame in range(60):
        trend.on_packet(frame * FRAME_MS, 14_000 + frame * FRAME_MS)
        assert trend.usage is Usage.NORMAL


def test_announcements_are_quick_at_first_and_at_once_on_a_fall() -> None:
    bandwidth = ReceiveBandwidth()
    assert bandwidth.poll(0.0) is None
    assert bandwidth.next_deadline_ms() == float("inf")
    bandwidth.on_packet(None, 1200, 100.0)
    assert bandwidth.next_deadline_ms() == 100.0
    assert bandwidth.poll(100.0) == INITIAL_BPS
    assert bandwidth.poll(299.0) is None
    assert bandwidth.poll(300.0) == INITIAL_BPS
    bandwidth.poll(2300.0)
    assert bandwidth.next_deadline_ms() == 3300.0
    bandwidth.on_loss(0.5, 2400.0)
    assert bandwidth.next_deadline_ms() <= 2400.0
    assert bandwidth.poll(2400.0) == MIN_BPS


def test_never_above_the_ceiling() -> None:
    bandwidth, _, _ = run(
        Line(50_000_000), 10, bandwidth=ReceiveBandwidth(2_000_000), encoder_max_bps=9e9
    )
    assert bandwidth.estimate_bps <= 2_000_000
