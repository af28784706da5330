"""One track of a stream: its sources on one side, its lanes on the other.

The driving rule: one call changes the state, then its batches are drained to the end before the
next call. Batches share one arena, so each is sent before the next is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from relay.core.arena import PacketArena, SendBatch
from relay.core.fanout import FanOut, TransportSequence
from relay.core.header_layout import HeaderLayout
from relay.core.join import BURST_BPS, JoinBurst, plan_join
from relay.core.keyframes import KeyframeCounters
from relay.core.lanes import Lane, LaneState, LaneTable
from relay.core.negotiation import Kind, MediaNegotiation
from relay.core.packet import MediaPacket
from relay.core.retransmit import Retransmitter
from relay.core.source import Source

VIEWER_PLI_INTERVAL_MS = 500.0
FIRST_GROUP_MS = 2400.0
MAX_GROUP_MS = 6000.0
PATIENCE_MS = 200.0
"""A new source usually begins with a key frame; after this it is asked for one."""


class Track:
    """Audio or video of a stream, as its viewers see it."""

    def __init__(
        self, kind: Kind, arena: PacketArena, transport: TransportSequence, rng: random.Random
    ) -> None:
        self.kind: Kind = kind
        self.table = LaneTable()
        self.source: Source | None = None
        self.keyframe_counters = KeyframeCounters()
        self._layouts: list[HeaderLayout] = []
        self._fanout = FanOut(arena, self.table, self._layouts, transport)
        self._transport = transport
        self._rng = rng
        self._bursts: dict[int, JoinBurst] = {}
        self._repairs: dict[int, Retransmitter] = {}
        self._line_bps: dict[int, float] = {}
        self._last_pli_ms: dict[int, float] = {}
        self._waiting_since_ms: float | None = None
        self._settled = -1
        """Generation of the table at which no lane was waiting (audio)."""

    # -- lanes

    def add_lane(self, media: MediaNegotiation, peer_index: int) -> Lane:
        """A lane for a viewer whose transport is not up yet."""
        layout = HeaderLayout.of(media)
        if layout not in self._layouts:
            self._layouts.append(layout)
        ssrc = media.ssrcs[0]
        lane = self.table.add(
            peer_index=peer_index,
            ssrc=ssrc,
            rtx_ssrc=media.rtx_ssrcs.get(ssrc),
            layout=layout,
            layout_number=self._layouts.index(layout),
            codecs=media.codecs,
            first_seq=self._rng.randrange(1, 0x7FFF),
            first_timestamp=self._rng.randrange(0x7FFFFFFF),
        )
        self._repairs[lane.index] = Retransmitter(lane, self.table, self._transport)
        return lane

    def remove_lane(self, lane: Lane) -> None:
        """Forget a viewer."""
        self._bursts.pop(lane.index, None)
        self._repairs.pop(lane.index, None)
        self._line_bps.pop(lane.index, None)
        self._last_pli_ms.pop(lane.index, None)
        self.table.remove(lane)

    def start_lane(self, lane: Lane, now_ms: float, line_bps: float = BURST_BPS) -> None:
        """The viewer's transport is up: a picture at once, from the kept group or a key frame."""
        self._line_bps[lane.index] = line_bps
        self.table.state[lane.index] = LaneState.WAITING
        self.table.generation += 1
        source = self.source
        if source is None:
            return
        self.table.target[lane.index] = source.number
        if self.kind == "video" and source.alive(now_ms):
            self._enter(lane, source, now_ms)

    def gate(self, lane: Lane) -> None:
        """Hold a lane until the next key frame: its queue overflowed."""
        if self.table.state[lane.index] in (LaneState.LIVE, LaneState.BURST):
            self._bursts.pop(lane.index, None)
            self.table.state[lane.index] = LaneState.WAITING
            self.table.generation += 1

    def repairs_of(self, lane: Lane) -> Retransmitter:
        """The lane's retransmitter."""
        return self._repairs[lane.index]

    def state_of(self, lane: Lane) -> LaneState:
        """Where the lane stands."""
        return LaneState(int(self.table.state[lane.index]))

    # -- sources

    def set_source(self, source: Source | None) -> None:
        """Lanes go over to `source` at its next key frame (audio: next packet)."""
        self.source = source
        if source is not None:
            source.keyframes.counters = self.keyframe_counters
        self.table.target[self.table.state > LaneState.IDLE] = (
            -1 if source is None else source.number
        )
        self.table.generation += 1

    def on_packets(
        self, source: Source, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        """Keep and forward packets of a source, in the order they came."""
        fresh = [p for p in packets if source.append(p)]
        start, audio = 0, self.kind == "audio"
        for i, packet in enumerate(fresh):
            if packet.keyframe or (audio and self._settled != self.table.generation):
                waiting = self._waiting_for(source, packet.seq)
                if audio and not waiting:
                    self._settled = self.table.generation
                if waiting:
                    if i > start:
                        yield from self._fanout.forward(source, fresh[start:i], now_ms)
                    start = i
                    self._go_live(waiting, source, packet, now_ms)
        if start < len(fresh):
            yield from self._fanout.forward(source, fresh[start:], now_ms)

    def _waiting_for(self, source: Source, seq: int) -> Sequence[int]:
        """Lanes that may begin at packet `seq`: never behind what they have had of the source."""
        table = self.table
        wanted = table.target == source.number
        state = table.state
        elsewhere = table.current != source.number
        ahead = elsewhere | (table.seq_offset + seq > table.last_seq)
        ready = ((state == LaneState.WAITING) | (state == LaneState.BURST)) & ahead
        moving = ((state == LaneState.LIVE) | (state == LaneState.NO_CODEC)) & elsewhere
        return [int(i) for i in np.flatnonzero(wanted & (ready | moving))]

    def _go_live(
        self, indices: Sequence[int], source: Source, packet: MediaPacket, now_ms: float
    ) -> None:
        for index in indices:
            lane = self.table.lanes[index]
            if lane is None:
                continue
            self._bursts.pop(index, None)
            if self.table.splice(lane, source, packet.seq, packet.timestamp, now_ms):
                self.table.state[index] = LaneState.LIVE

    # -- key frames

    def on_keyframe_request(self, lane: Lane, now_ms: float) -> None:
        """A viewer's PLI or FIR (RFC 4585, RFC 5104): joined with the others, or served here."""
        source = self.source
        if source is None or self.state_of(lane) != LaneState.LIVE:
            return
        if now_ms - self._last_pli_ms.get(lane.index, float("-inf")) < VIEWER_PLI_INTERVAL_MS:
            source.keyframes.counters.asked += 1
            source.keyframes.counters.suppressed += 1
            return
        self._last_pli_ms[lane.index] = now_ms
        line_bps = self._line_bps.get(lane.index, BURST_BPS)
        plan = plan_join(source, now_ms, line_bps, patience_ms=0.0)
        if plan.ask_for_keyframe:
            source.keyframes.want(now_ms)
        elif plan.speed:
            source.keyframes.counters.asked += 1
            self._burst(lane, source, plan.speed, now_ms)

    def ask_for_waiting(self, now_ms: float) -> None:
        """Wish for a key frame when lanes have waited for one of the source for a while."""
        source = self.source
        if source is None or not source.can_request_keyframe or not source.alive(now_ms):
            self._waiting_since_ms = None
            return
        self._keep_group_short(source, now_ms)
        waiting = self._waiting_for(source, source.history.head_seq + 1)
        if all(self.table.state[index] == LaneState.BURST for index in waiting):
            self._waiting_since_ms = None
        elif self._waiting_since_ms is None:
            self._waiting_since_ms = now_ms
        elif now_ms - self._waiting_since_ms >= PATIENCE_MS and not source.keyframes.pending:
            source.keyframes.want(now_ms)

    def _keep_group_short(self, source: Source, now_ms: float) -> None:
        """Encoders that make key frames only when asked (browsers) are asked now and then: the
        kept group stays short, so that joiners and lost viewers need not wait for one."""
        keyframe = source.history.keyframe
        first = source.history.keyframe_seq is None
        age_ms = float("inf") if keyframe is None else now_ms - keyframe.arrival_ms
        limit_ms = FIRST_GROUP_MS if source.keyframes.untried else MAX_GROUP_MS
        if not first and age_ms > limit_ms and not source.keyframes.pending:
            source.keyframes.want(now_ms)

    def _enter(self, lane: Lane, source: Source, now_ms: float) -> None:
        plan = plan_join(source, now_ms, self._line_bps.get(lane.index, BURST_BPS))
        if plan.speed:
            self._burst(lane, source, plan.speed, now_ms)
        elif plan.ask_for_keyframe:
            source.keyframes.want(now_ms)

    def _burst(self, lane: Lane, source: Source, speed: float, now_ms: float) -> None:
        first = source.history.keyframe
        if first is None:
            return
        splice = self.table.splice(lane, source, first.seq, first.timestamp, now_ms)
        if splice is None:
            return
        source.keyframes.counters.cache_served += 1
        self.table.state[lane.index] = LaneState.BURST
        self._bursts[lane.index] = JoinBurst(lane, splice, now_ms, speed)

    # -- time

    def poll(self, now_ms: float) -> Iterator[SendBatch]:
        """Send what join bursts owe by now."""
        for index, burst in list(self._bursts.items()):
            if burst.next_deadline_ms() > now_ms:
                continue
            packets = burst.take(now_ms)
            if packets:
                timestamps = [burst.splice.timestamp(p.timestamp) for p in packets]
                yield from self._fanout.send_to_lane(index, packets, timestamps, now_ms)
            if burst.caught_up:
                self._finish(index, burst)

    def _finish(self, index: int, burst: JoinBurst) -> None:
        burst.finish()
        del self._bursts[index]
        self.table.ts_offset[index] = burst.splice.ts_offset
        self.table.state[index] = LaneState.LIVE
        self.table.generation += 1

    def next_deadline_ms(self) -> float:
        """When `poll` has something to do; infinity when it has not."""
        return min((b.next_deadline_ms() for b in self._bursts.values()), default=float("inf"))
