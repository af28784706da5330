"""One track of a stream: its layers on one side, its lanes on the other.

The driving rule: one call changes the state, then its batches are drained to the end before the
next call. Batches share one arena, so each is sent before the next is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from relay.core.arena import PacketArena, SendBatch
from relay.core.fanout import FanOut
from relay.core.header_layout import HeaderLayout
from relay.core.join import BURST_BPS, JOIN_PATIENCE_MS, JoinBurst, plan_join
from relay.core.keyframes import KeyframeCounters
from relay.core.lanes import Lane, LaneState, LaneTable
from relay.core.line.layer_choice import LayerChoice, LayerWish, Reason, choose_layer
from relay.core.negotiation import Kind, MediaNegotiation
from relay.core.packet import MediaPacket
from relay.core.retransmit import Retransmitter
from relay.core.source import Source
from relay.core.thinning import NO_CAP, next_cap
from relay.core.transport_sequence import TransportSequence

VIEWER_PLI_INTERVAL_MS = 500.0
VOICE_REPAIR_BPS = 64_000.0
PATIENCE_MS = 200.0
"""A new source usually begins with a key frame; after this it is asked for one."""
REPLACE_PATIENCE_MS = 250.0
"""A viewer whose picture was stopped gets the kept group of another layer, unless a key frame comes
about as soon."""


_ANY = LayerWish()


class Track:
    """Audio or video of a stream, as its viewers see it. layers: ranked, richest first."""

    def __init__(
        self, kind: Kind, arena: PacketArena, transport: TransportSequence, rng: random.Random
    ) -> None:
        self.kind: Kind = kind
        self.table = LaneTable()
        self.layers: tuple[Source, ...] = ()
        self.keyframe_counters = KeyframeCounters()
        self._layouts: list[HeaderLayout] = []
        self._fanout = FanOut(arena, self.table, self._layouts, transport)
        self._transport = transport
        self._rng = rng
        self._bursts: dict[int, JoinBurst] = {}
        self._repairs: dict[int, Retransmitter] = {}
        self._line_bps: dict[int, float] = {}
        self._last_pli_ms: dict[int, float] = {}
        self._wishes: dict[int, LayerWish] = {}
        self._waiting_since_ms: dict[int, float] = {}
        """By source number: since when lanes have waited for a key frame of it."""
        self._recapped: set[int] = set()
        """Lanes whose wanted cap of temporal layers is not in force yet."""
        self._settled = -1
        """Generation of the table at which no lane was waiting (audio)."""

    # -- lanes

    def add_lane(self, media: MediaNegotiation, peer_index: int, layer: int | None = None) -> Lane:
        """A lane for a viewer whose transport is not up yet.

        layer: for a viewer that takes all layers, the rank of the one that this lane carries.
        """
        ssrc = media.ssrcs[layer or 0]
        layout = HeaderLayout.of(media)
        if ssrc not in media.rtx_ssrcs:
            # Without RTX a resend must be the same to the byte: no number that is new each time.
            layout = replace(layout, transport_cc_id=0)
        lane = self.table.add(
            peer_index=peer_index,
            ssrc=ssrc,
            rtx_ssrc=media.rtx_ssrcs.get(ssrc),
            layout=layout,
            layout_number=self._number_of(layout),
            codecs=media.codecs,
            first_seq=self._rng.randrange(1, 0x7FFF),
            first_timestamp=self._rng.randrange(0x7FFFFFFF),
        )
        self._repairs[lane.index] = Retransmitter(lane, self.table, self._transport)
        if self.kind == "audio":
            self._repairs[lane.index].budget_bps = VOICE_REPAIR_BPS
        if layer is not None:
            self._wishes[lane.index] = LayerWish(rank=layer)
        return lane

    def set_feedback(self, lane: Lane, *, wanted: bool) -> None:
        """Ask a viewer for transport-wide feedback, or no more: its packets have the number, or
        have it not."""
        layout = lane.layout if wanted else replace(lane.layout, transport_cc_id=0)
        self.table.layout[lane.index] = self._number_of(layout)
        self.table.generation += 1

    def _number_of(self, layout: HeaderLayout) -> int:
        if layout not in self._layouts:
            self._layouts.append(layout)
        return self._layouts.index(layout)

    def remove_lane(self, lane: Lane) -> None:
        """Forget a viewer."""
        self._bursts.pop(lane.index, None)
        self._repairs.pop(lane.index, None)
        self._line_bps.pop(lane.index, None)
        self._last_pli_ms.pop(lane.index, None)
        self._wishes.pop(lane.index, None)
        self._recapped.discard(lane.index)
        self.table.remove(lane)

    def start_lane(self, lane: Lane, now_ms: float, line_bps: float = BURST_BPS) -> None:
        """The viewer's transport is up: a picture at once, from the kept group or a key frame."""
        self._line_bps[lane.index] = line_bps
        self.table.state[lane.index] = LaneState.WAITING
        self.table.generation += 1
        source = self._retarget(lane)
        if source is not None and self.kind == "video" and source.alive(now_ms):
            self._enter(lane, source, now_ms)

    def repairs_of(self, lane: Lane) -> Retransmitter:
        """The lane's retransmitter."""
        return self._repairs[lane.index]

    def state_of(self, lane: Lane) -> LaneState:
        """Where the lane stands."""
        return LaneState(int(self.table.state[lane.index]))

    # -- layers

    @property
    def source(self) -> Source | None:
        """The richest layer."""
        return self.layers[0] if self.layers else None

    def set_source(self, source: Source | None) -> None:
        """Lanes go over to `source` at its next key frame (audio: next packet)."""
        self.set_layers(() if source is None else (source,))

    def set_layers(self, layers: Sequence[Source]) -> None:
        """Lanes go over to the layer that fits each at its next key frame (audio: next packet).

        layers: ranked, richest first.
        """
        self.layers = tuple(layers)
        for source in layers:
            source.keyframes.counters = self.keyframe_counters
        for lane in self.table.lanes:
            if lane is not None and self.table.state[lane.index] > LaneState.IDLE:
                self._retarget(lane)
        self.table.generation += 1

    def wish_of(self, lane: Lane) -> LayerWish:
        """What limits the lane's choice of layer."""
        return self._wishes.get(lane.index, _ANY)

    def set_wish(self, lane: Lane, wish: LayerWish, now_ms: float) -> None:
        """Limit a lane's choice; it goes over to another layer at that layer's next key frame."""
        if wish == self.wish_of(lane):
            return
        self._wishes[lane.index] = wish
        state, before = self.state_of(lane), self.table.target[lane.index]
        if state <= LaneState.IDLE:
            return
        source = self._retarget(lane)
        if source is None:
            self.hold(lane)
            return
        there = state == LaneState.LIVE and source.number == self.table.current[lane.index]
        if source.number != before and not there:
            source.keyframes.want(now_ms)

    def set_temporal_cap(self, lane: Lane, cap: int) -> None:
        """Leave out temporal layers above `cap` (NO_CAP: none), whatever the line carries."""
        self._wishes[lane.index] = replace(self.wish_of(lane), max_temporal_id=cap)
        self._cap(lane, cap)

    def set_voice_level(self, lane: Lane, level: int) -> None:
        """So many older frames in each packet of sound from the next one on; nothing changes for a
        viewer that knows no RED."""
        splice = lane.current
        if splice is None or level == self.table.voice_level[lane.index]:
            return
        self.table.change_voice(lane, level, splice.source.history.head_seq + 1)

    def _cap(self, lane: Lane, cap: int) -> None:
        """Fewer layers from the next frame on, more from the next at which its codec allows it."""
        self.table.wanted_cap[lane.index] = cap
        self._recapped.add(lane.index)

    def _cap_changes(self, source: Source, packet: MediaPacket) -> list[tuple[Lane, int]]:
        """Caps that can be changed at `packet`, which starts a frame."""
        table, changes = self.table, list[tuple[Lane, int]]()
        for index in list(self._recapped):
            lane, wanted = table.lanes[index], int(table.wanted_cap[index])
            now = int(table.temporal_cap[index])
            if lane is None or now == wanted:
                self._recapped.discard(index)
            elif table.state[index] == LaneState.LIVE and table.current[index] == source.number:
                cap = next_cap(now, wanted, packet.switch_up, source.top_temporal_id)
                changes += [(lane, cap)] if cap != now else []
        return changes

    def hold(self, lane: Lane) -> None:
        """Send no more of what the lane gets; it goes on at a key frame of its target."""
        if self.table.state[lane.index] in (LaneState.LIVE, LaneState.BURST):
            self._bursts.pop(lane.index, None)
            self.table.state[lane.index] = LaneState.WAITING
            self.table.generation += 1

    def replace_now(self, lane: Lane, target: Source, line_bps: float, now_ms: float) -> None:
        """Stop what the lane gets; `target` comes from its kept group or a key frame."""
        self.hold(lane)
        self._line_bps[lane.index] = line_bps
        self._enter(lane, target, now_ms, patience_ms=REPLACE_PATIENCE_MS)

    def choice_of(self, lane: Lane) -> LayerChoice:
        """What fits the lane now; no source while there is no layer at all."""
        if not self.layers:
            return LayerChoice(None, Reason.PUBLISHER)
        cap = int(self.table.wanted_cap[lane.index])
        current = LayerChoice(self.target_of(lane), Reason.LINE, cap)
        return choose_layer(self.layers, self.wish_of(lane), current)

    def target_of(self, lane: Lane) -> Source | None:
        """The layer that the lane gets or waits for; None when it is to have none."""
        target = int(self.table.target[lane.index])
        return next((s for s in self.layers if s.number == target), None)

    def _retarget(self, lane: Lane) -> Source | None:
        choice = self.choice_of(lane)
        source = choice.source
        self.table.target[lane.index] = -1 if source is None else source.number
        if choice.cap != self.table.wanted_cap[lane.index]:
            self._cap(lane, choice.cap)
        return source

    def uses(self, numbers: Collection[int]) -> bool:
        """Whether lanes are still fed from one of these sources while they wait for another."""
        table = self.table
        live = (table.state == LaneState.LIVE) & (table.current != table.target)
        return bool(np.isin(table.current[live & (table.target >= 0)], list(numbers)).any())

    def on_packets(
        self, source: Source, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        """Keep and forward packets of a source, in the order they came."""
        newest = source.history.head_seq
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
            if self._recapped and packet.frame_start and packet.seq > newest:
                changes = self._cap_changes(source, packet)
                if changes and i > start:
                    yield from self._fanout.forward(source, fresh[start:i], now_ms)
                    start = i
                for lane, cap in changes:
                    self.table.change_cap(lane, cap, packet.seq)
            newest = max(newest, packet.seq)
        if start < len(fresh):
            yield from self._fanout.forward(source, fresh[start:], now_ms)

    def _waiting_for(self, source: Source, seq: int) -> Sequence[int]:
        """Lanes that may begin at packet `seq`: never behind what they have had of the source."""
        table = self.table
        wanted = table.target == source.number
        state = table.state
        elsewhere = table.current != source.number
        ahead = elsewhere | (table.seq_offset + seq > table.last_seq)
        for index in np.flatnonzero(wanted & ~elsewhere & (table.temporal_cap < NO_CAP)):
            lane = table.lanes[index]
            splice = None if lane is None else lane.current
            if splice is not None:
                ahead[index] = splice.place(seq) + splice.seq_offset > table.last_seq[index]
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
        source = self.target_of(lane)
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
        """Wish for key frames of layers for which lanes have waited for a while."""
        self._waiting_since_ms = {
            source.number: since_ms
            for source in self.layers
            if (since_ms := self._ask_of(source, now_ms)) is not None
        }

    def _ask_of(self, source: Source, now_ms: float) -> float | None:
        """Since when lanes have been waiting for a layer."""
        if not source.can_request_keyframe or not source.alive(now_ms):
            return None
        source.keep_group_short(now_ms)
        waiting = self._waiting_for(source, source.history.head_seq + 1)
        if all(self.table.state[index] == LaneState.BURST for index in waiting):
            return None
        since_ms = self._waiting_since_ms.get(source.number, now_ms)
        if now_ms - since_ms >= PATIENCE_MS and not source.keyframes.pending:
            source.keyframes.want(now_ms)
        return since_ms

    def _enter(
        self,
        lane: Lane,
        source: Source,
        now_ms: float,
        patience_ms: float = JOIN_PATIENCE_MS,
    ) -> None:
        line_bps = self._line_bps.get(lane.index, BURST_BPS)
        plan = plan_join(source, now_ms, line_bps, patience_ms)
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
            packets = [p for p in burst.take(now_ms) if burst.splice.keeps(p)]
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
