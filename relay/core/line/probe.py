"""Whether a line carries more than it is given: padding on the repair stream, for a moment.

A viewer below its layer gets, beside its media, empty packets up to the rate that the next layer
needs. If they come through without delay and loss the line carries that much. The rate goes up in
steps: a probe far above what a line carries would drown the sound. One that fails is broken off,
and the next one waits longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from relay.core.line.feedback import Arrival

MIN_PROBE_MS, MAX_PROBE_MS = 250.0, 1500.0
BUCKET_BYTES = 18_000.0
"""Lines let some 16 kB through at any rate: a probe must send more than that above their own."""
TICK_MS = 10.0
VERDICT_MS = 400.0
"""Feedback about the probe's last packets has come this long after it."""
PADDING_BYTES = 255
"""Most that the padding of one packet can be (RFC 3550 section 5.1)."""
PADDING_WIRE_BYTES = PADDING_BYTES + 12 + 12 + 44
FIRST_PAUSE_MS = 700.0
MAX_PAUSE_MS = 4500.0
PAUSE_GROWTH = 1.8
PASSED = 0.88
STEP = 2.6
"""Of what is known to come through: the next probe goes no higher."""
TOO_LONG_MS = 100.0
"""A queue of this height breaks a probe off before it costs sound."""
GROWTH_MS = 50.0
"""Packets of a probe that wait longer and longer say that it fills the line."""
MIN_ARRIVALS = 8
MAX_TICK_PACKETS = 40


@dataclass(slots=True)
class _Running:
    goal_bps: float
    media_bps: float
    started_ms: float
    first_seq: int
    owed_bytes: float = 0.0
    paid_ms: float = 0.0
    ended_ms: float | None = None
    length_ms: float = MIN_PROBE_MS
    arrivals: list[Arrival] = field(default_factory=list)
    lost: int = 0


class Prober:
    """Probes of one viewer, one at a time. passed_bps: what the last that passed had shown."""

    def __init__(self) -> None:
        self._running: _Running | None = None
        self._pause_ms = FIRST_PAUSE_MS
        self._not_before_ms = float("-inf")
        self.begun = 0
        self.failed = 0

    @property
    def busy(self) -> bool:
        """A probe is under way or its verdict is awaited."""
        return self._running is not None

    def may_begin(self, now_ms: float) -> bool:
        """Nothing is under way, and the last failure is long enough ago."""
        return self._running is None and now_ms >= self._not_before_ms

    def begin(
        self, goal_bps: float, known_bps: float, media_bps: float, next_seq: int, now_ms: float
    ) -> None:
        """Begin a probe. goal_bps: in all. known_bps: what the line is known to carry. media_bps:
        what the viewer gets of the goal anyway. next_seq: extended transport sequence number of
        the viewer's next packet."""
        self.begun += 1
        length_ms = BUCKET_BYTES * 8000 / max(1.0, goal_bps - known_bps)
        self._running = _Running(
            goal_bps,
            media_bps,
            now_ms,
            next_seq,
            paid_ms=now_ms,
            length_ms=min(MAX_PROBE_MS, max(MIN_PROBE_MS, length_ms)),
        )

    def due(self, now_ms: float) -> int:
        """Padding packets to send now."""
        run = self._running
        if run is None or run.ended_ms is not None:
            return 0
        if now_ms - run.started_ms >= run.length_ms:
            run.ended_ms = now_ms
            return 0
        rate = max(run.goal_bps - run.media_bps, 0.15 * run.goal_bps)
        run.owed_bytes += rate * (now_ms - run.paid_ms) / 8000
        run.paid_ms = now_ms
        count = min(MAX_TICK_PACKETS, int(run.owed_bytes // PADDING_WIRE_BYTES))
        run.owed_bytes -= count * PADDING_WIRE_BYTES
        return count

    def next_deadline_ms(self) -> float:
        """When `due` is to be asked; infinity when no probe is being sent."""
        run = self._running
        return float("inf") if run is None or run.ended_ms is not None else run.paid_ms + TICK_MS

    def on_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        """Feedback, of which that about the probe counts."""
        run = self._running
        if run is None:
            return
        for arrival in arrivals:
            if arrival.seq >= run.first_seq:
                if arrival.arrived_ms is None:
                    run.lost += 1
                elif run.ended_ms is None or arrival.sent_ms <= run.ended_ms:
                    run.arrivals.append(arrival)

    def on_full(self, now_ms: float) -> bool:
        """The line is full: break off. True if a probe was under way."""
        if self._running is None:
            return False
        self._fail(now_ms)
        return True

    def verdict(self, loss_floor: float, now_ms: float) -> float | None:
        """The rate shown by a probe that has passed just now, else None."""
        run = self._running
        if run is None or run.ended_ms is None:
            return None
        told = run.arrivals and run.arrivals[-1].sent_ms >= run.ended_ms - 4 * TICK_MS
        shown = _shown_bps(run.arrivals) if told else None
        loss = run.lost / max(1, run.lost + len(run.arrivals))
        fits = shown is not None and shown >= PASSED * run.goal_bps * (1 - min(loss, loss_floor))
        if fits and loss <= loss_floor * 1.3 + 0.05 and _growth_ms(run.arrivals) < GROWTH_MS:
            self._running = None
            self._pause_ms = FIRST_PAUSE_MS
            self._not_before_ms = now_ms
            return run.goal_bps
        if now_ms - run.ended_ms >= VERDICT_MS:
            self._fail(now_ms)
        return None

    def back_off(self, now_ms: float) -> None:
        """What a probe had promised did not hold."""
        self._pause_ms = min(MAX_PAUSE_MS, self._pause_ms * PAUSE_GROWTH)
        self._not_before_ms = now_ms + self._pause_ms

    def _fail(self, now_ms: float) -> None:
        self._running = None
        self.failed += 1
        self.back_off(now_ms)


def _shown_bps(arrivals: Sequence[Arrival]) -> float | None:
    """Rate of arrival, over the viewer's clock, of packets that were sent in one go."""
    if len(arrivals) < MIN_ARRIVALS:
        return None
    times = [a.arrived_ms for a in arrivals if a.arrived_ms is not None]
    span_ms = max(times) - min(times)
    if span_ms <= 0:
        return None
    return sum(a.size_bytes for a in arrivals[1:]) * 8000 / max(span_ms, MIN_PROBE_MS * 0.5)


def _growth_ms(arrivals: Sequence[Arrival]) -> float:
    """How much longer the last quarter took than the first."""
    ways = [a.arrived_ms - a.sent_ms for a in arrivals if a.arrived_ms is not None]
    quarter = max(1, len(ways) // 4)
    return min(ways[-quarter:]) - min(ways[:quarter])
