"""Join at once: feed a new viewer from the kept group of pictures until it has caught up.

The group is sent `speed` times faster than it was filmed, and its timestamps are compressed by the
same factor, so that for the viewer it looks like a fast-motion film which arrives on time: it
starts at the key frame at once and meets the live edge after age / (speed - 1), with no delay left
over. A newer key frame ends the burst early.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.lanes import Lane, Splice
from relay.core.packet import MediaPacket
from relay.core.source import Source

BURST_BPS = 20_000_000.0
"""Rate that a join burst aims at when nothing is known of the viewer's line."""

MIN_SPEED, SLOWEST = 3.0, 1.25
"""A line that carries less than MIN_SPEED times the picture is not sent a kept group, which would
fill it, unless there is nothing else."""
MAX_SPEED = 16.0
TICK_MS = 5.0
MAX_PACKETS_PER_TICK = 64
JOIN_PATIENCE_MS = 600.0

KEYFRAME_GUESS_BYTES = 60_000


@dataclass(frozen=True)
class JoinPlan:
    """What a joiner gets: the kept group at `speed`, or (speed 0) the next key frame."""

    speed: float
    ask_for_keyframe: bool


def plan_join(
    source: Source,
    now_ms: float,
    line_bps: float = BURST_BPS,
    patience_ms: float = JOIN_PATIENCE_MS,
) -> JoinPlan:
    """Kept group or new key frame, whichever puts a whole, live picture on the line sooner.

    line_bps: what the viewer's line is believed to carry. patience_ms: a kept group that catches
    up within this is preferred even to a sooner key frame: it costs the publisher nothing.
    """
    history = source.history
    keyframe = history.keyframe
    can_ask = source.can_request_keyframe
    if keyframe is None:
        return JoinPlan(0.0, can_ask)
    stream_bps = max(source.bitrate_bps, 100_000.0)
    speed = min(MAX_SPEED, line_bps / stream_bps)
    if speed < MIN_SPEED:
        return JoinPlan(0.0, True) if can_ask else JoinPlan(max(SLOWEST, speed), False)
    age_ms = now_ms - keyframe.arrival_ms
    caught_up_ms = max(
        age_ms / (speed - 1), history.bytes_since_keyframe * 8000 / max(line_bps, stream_bps)
    )
    if not can_ask:
        return JoinPlan(speed, False)
    keyframe_ms = KEYFRAME_GUESS_BYTES * 8000 / max(line_bps, stream_bps)
    asked_ms = source.keyframes.expected_wait_ms(now_ms) + keyframe_ms
    if caught_up_ms <= max(asked_ms, patience_ms):
        return JoinPlan(speed, False)
    return JoinPlan(0.0, True)


class JoinBurst:
    """One lane being fed from history."""

    def __init__(self, lane: Lane, splice: Splice, now_ms: float, speed: float) -> None:
        self.lane = lane
        self.splice = splice
        self.source: Source = splice.source
        self._started_ms = now_ms
        self._next_seq = splice.first_source_seq
        self._next_ms = now_ms
        splice.speed = speed

    def next_deadline_ms(self) -> float:
        """When packets are due next."""
        return self._next_ms

    def take(self, now_ms: float) -> list[MediaPacket]:
        """Packets due by now, in order."""
        splice, source = self.splice, self.source
        elapsed_ticks = (now_ms - self._started_ms) * source.clock_rate / 1000 * splice.speed
        horizon = splice.fast_start + int(elapsed_ticks)
        due: list[MediaPacket] = []
        for packet in source.history.span(self._next_seq):
            if packet.timestamp > horizon or len(due) >= MAX_PACKETS_PER_TICK:
                break
            due.append(packet)
        if due:
            self._next_seq = due[-1].seq + 1
        self._next_ms = now_ms + TICK_MS
        return due

    @property
    def caught_up(self) -> bool:
        """Nothing newer is kept than what was taken."""
        return self._next_seq > self.source.history.head_seq

    def finish(self) -> None:
        """Pin the splice's offset where the burst ended: later packets keep real time."""
        splice = self.splice
        last_seq = self._next_seq - 1
        packet = self.source.history.get(last_seq)
        end = packet.timestamp if packet is not None else splice.fast_start
        reached = splice.timestamp(end)
        splice.fast_end = end
        splice.fast_last_seq = last_seq
        splice.ts_offset = reached - end
