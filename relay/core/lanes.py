"""Where each viewer of a track stands: vectors over all viewers ("lanes").

A lane is one viewer's copy of a track: its SSRC, its sequence and timestamp offsets, the source it
takes. Rewriting a packet for all viewers is arithmetic on these vectors. The source's numbers
never change; a viewer is only a pair of offsets, and a NACK is the reverse subtraction.

A *splice* sets a lane's offsets anew so that its outgoing numbers go on without a break: at
joining, when a publisher returns, when a backup takes over, at a change of layer. One mechanism.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from relay.core.header_layout import HeaderLayout
from relay.core.negotiation import CodecParameters
from relay.core.packet import MediaPacket
from relay.core.source import Source
from relay.core.thinning import NO_CAP, Thinning
from relay.core.voice_form import VoiceForm, voice_form
from relay.core.vp8_numbers import UNMOVED, Vp8Numbers, Vp8Offsets, offsets_after, seen, vp8_numbers

MAX_SPLICES = 16
"""Splices remembered per lane, so that a NACK for a packet before one can be answered."""

INITIAL_CAPACITY = 64


class LaneState(IntEnum):
    """FREE: unused. IDLE: transport not up. WAITING: for a key frame. BURST: being fed from the
    kept group of pictures. LIVE: at the head. NO_CODEC: the source's codec was not negotiated."""

    FREE = 0
    IDLE = 1
    WAITING = 2
    BURST = 3
    LIVE = 4
    NO_CODEC = 5


@dataclass(slots=True)
class Splice:
    """One stretch of a lane's output that came from one source.

    Output sequence = source sequence + seq_offset, after `thinning` (if there is one) has closed up
    what is above the lane's cap of temporal layers. Source timestamps up to `fast_end` map to
    fast_base + (ts - fast_start) / speed (the join burst); later ones to ts + ts_offset. vp8: what
    picture id and TL0PICIDX are moved by. voice: the form in which sound is sent, None for as it
    came.
    """

    source: Source
    first_source_seq: int
    seq_offset: int
    ts_offset: int
    payload_type: int
    rtx_payload_type: int | None
    speed: float = 1.0
    fast_start: int = 0
    fast_base: int = 0
    fast_end: int | None = None
    fast_last_seq: int = -1
    thinning: Thinning | None = None
    vp8: Vp8Offsets = UNMOVED
    voice: VoiceForm | None = None

    @property
    def first_output_seq(self) -> int:
        """Extended output sequence number of the first packet."""
        return self.place(self.first_source_seq) + self.seq_offset

    def place(self, source_seq: int) -> int:
        """A source number with what is left out closed up."""
        return source_seq if self.thinning is None else self.thinning.place(source_seq)

    def source_seq(self, output_seq: int) -> int:
        """The source number of an output number."""
        place = output_seq - self.seq_offset
        return place if self.thinning is None else self.thinning.source_seq(place)

    def keeps(self, packet: MediaPacket) -> bool:
        """Whether the viewer gets a packet of the source."""
        return self.thinning is None or self.thinning.keeps(packet)

    def vp8_numbers(self, packet: MediaPacket | None) -> Vp8Numbers | None:
        """What the viewer sees as numbers of a VP8 packet."""
        if packet is None or self.source.codec.name != "VP8":
            return None
        numbers = vp8_numbers(packet.payload)
        return None if numbers is None else seen(numbers, self.thinning, self.vp8)

    def timestamp(self, source_timestamp: int) -> int:
        """Outgoing extended timestamp of a source timestamp."""
        if self.speed != 1.0 and (self.fast_end is None or source_timestamp <= self.fast_end):
            ticks = max(0, source_timestamp - self.fast_start)
            return self.fast_base + int(ticks / self.speed)
        return source_timestamp + self.ts_offset


@dataclass(slots=True)
class Lane:
    """The part of a lane that is no vector: what was negotiated, and how to answer a NACK."""

    index: int
    peer_index: int
    ssrc: int
    rtx_ssrc: int | None
    layout: HeaderLayout
    codecs: tuple[CodecParameters, ...]
    splices: deque[Splice] = field(default_factory=lambda: deque(maxlen=MAX_SPLICES))
    rtx_seq: int = 0

    @property
    def current(self) -> Splice | None:
        """The newest splice."""
        return self.splices[-1] if self.splices else None

    def splice_of(self, output_seq: int) -> Splice | None:
        """The splice that produced extended output sequence number `output_seq`."""
        for splice in reversed(self.splices):
            if output_seq >= splice.first_output_seq:
                return splice
        return None


class LaneTable:
    """Vectors over the lanes of one track; index = lane index.

    state: int8. target, current: int64 source numbers (-1: none): wanted, and being forwarded.
    seq_offset, ts_offset, start_seq: int64, of the current splice. last_seq, last_ts: int64
    extended, highest sent. last_ms: float64 when that was. packets, octets: int64 sent.
    voice_level: int8, older frames that sound carries. temporal_cap: int8, temporal layers above it
    are left out; wanted_cap: and will be, as soon as the codec allows it. vp8_picture_id, vp8_tl0:
    offsets of the current splice.
    """

    def __init__(self) -> None:
        self.lanes: list[Lane | None] = []
        self._free: list[int] = []
        self._allocate(INITIAL_CAPACITY)
        self.generation = 0
        """Grows whenever group membership or offsets change: cached groups are then stale."""

    def _allocate(self, capacity: int) -> None:
        self.state: npt.NDArray[np.int8] = np.zeros(capacity, np.int8)
        self.peer: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.ssrc: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self.payload_type: npt.NDArray[np.uint8] = np.zeros(capacity, np.uint8)
        self.layout: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.target: npt.NDArray[np.int64] = np.full(capacity, -1, np.int64)
        self.current: npt.NDArray[np.int64] = np.full(capacity, -1, np.int64)
        self.seq_offset: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.ts_offset: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.start_seq: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.voice_level: npt.NDArray[np.int8] = np.zeros(capacity, np.int8)
        self.temporal_cap: npt.NDArray[np.int8] = np.full(capacity, NO_CAP, np.int8)
        self.wanted_cap: npt.NDArray[np.int8] = np.full(capacity, NO_CAP, np.int8)
        self.vp8_picture_id: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.vp8_tl0: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.last_seq: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.last_ts: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.last_ms: npt.NDArray[np.float64] = np.full(capacity, -1.0, np.float64)
        self.packets: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.octets: npt.NDArray[np.int64] = np.zeros(capacity, np.int64)

    _VECTORS = (
        *("state", "peer", "ssrc", "payload_type", "layout", "target", "current"),
        *("seq_offset", "ts_offset", "start_seq", "last_seq", "last_ts", "last_ms"),
        *(
            "packets",
            "octets",
            "voice_level",
            "temporal_cap",
            "wanted_cap",
            "vp8_picture_id",
            "vp8_tl0",
        ),
    )

    def add(
        self,
        *,
        peer_index: int,
        ssrc: int,
        rtx_ssrc: int | None,
        layout: HeaderLayout,
        layout_number: int,
        codecs: tuple[CodecParameters, ...],
        first_seq: int,
        first_timestamp: int,
    ) -> Lane:
        """A new lane, IDLE; its first packet will have `first_seq` and `first_timestamp`."""
        if not self._free:
            self._grow()
        index = self._free.pop()
        lane = Lane(index, peer_index, ssrc, rtx_ssrc, layout, codecs)
        self.lanes[index] = lane
        for name in self._VECTORS:
            getattr(self, name)[index] = 0
        self.state[index] = LaneState.IDLE
        self.peer[index] = peer_index
        self.ssrc[index] = ssrc
        self.layout[index] = layout_number
        self.target[index] = self.current[index] = -1
        self.last_seq[index] = first_seq - 1
        self.last_ts[index] = first_timestamp
        self.last_ms[index] = -1.0
        self.temporal_cap[index] = self.wanted_cap[index] = NO_CAP
        self.generation += 1
        return lane

    def remove(self, lane: Lane) -> None:
        """Free a lane; its index may be used again at once."""
        self.state[lane.index] = LaneState.FREE
        self.target[lane.index] = self.current[lane.index] = -1
        self.lanes[lane.index] = None
        self._free.append(lane.index)
        self.generation += 1

    def splice(
        self, lane: Lane, source: Source, first_seq: int, first_ts: int, now_ms: float
    ) -> Splice | None:
        """Point a lane at `source` from packet `first_seq` on, its numbers going on unbroken.

        Returns None (and sets NO_CODEC) when the viewer negotiated no codec of the source.
        """
        index = lane.index
        codec = match_codec(source.codec, lane.codecs)
        self.generation += 1
        if codec is None:
            self.state[index] = LaneState.NO_CODEC
            self.current[index] = source.number
            return None
        out_ts = self._next_timestamp(index, source.clock_rate, now_ms)
        splice = Splice(
            source=source,
            first_source_seq=first_seq,
            seq_offset=0,
            ts_offset=out_ts - first_ts,
            payload_type=codec.payload_type,
            rtx_payload_type=codec.rtx_payload_type,
            fast_start=first_ts,
            fast_base=out_ts,
        )
        cap = self.temporal_cap[index] = self.wanted_cap[index]
        splice.thinning = source.thinned(int(cap)) if cap < NO_CAP else None
        splice.seq_offset = int(self.last_seq[index]) + 1 - splice.place(first_seq)
        splice.vp8 = self._vp8_offsets(lane, splice)
        self._set_voice(lane, splice, codec.payload_type)
        self._begin(lane, splice)
        return splice

    def change_voice(self, lane: Lane, level: int, first_seq: int) -> None:
        """Send sound with so many older frames from packet `first_seq` of the lane's source on."""
        self.voice_level[lane.index] = level
        old = lane.current
        if old is None:
            return
        codec = match_codec(old.source.codec, lane.codecs)
        splice = replace(old, first_source_seq=first_seq)
        self._set_voice(lane, splice, old.payload_type if codec is None else codec.payload_type)
        if splice.voice != old.voice:
            self.generation += 1
            self._begin(lane, splice)

    def _set_voice(self, lane: Lane, splice: Splice, plain_type: int) -> None:
        form = None
        if splice.source.kind == "audio":
            form = voice_form(lane.codecs, int(self.voice_level[lane.index]))
        splice.voice = form
        splice.payload_type = plain_type if form is None else form.red_type

    def change_cap(self, lane: Lane, cap: int, first_seq: int) -> None:
        """Leave out temporal layers above `cap` from packet `first_seq` of the lane's source on."""
        old = lane.current
        if old is None:
            return
        thinning = old.source.thinned(cap) if cap < NO_CAP else None
        splice = replace(old, first_source_seq=first_seq, thinning=thinning)
        splice.seq_offset += old.place(first_seq) - splice.place(first_seq)
        first = old.source.history.get(first_seq)
        before, after = old.vp8_numbers(first), splice.vp8_numbers(first)
        if before is not None and after is not None and before.picture_id and after.picture_id:
            ahead = before.picture_id.value - after.picture_id.value
            splice.vp8 = Vp8Offsets(old.vp8.picture_id + ahead, old.vp8.tl0)
        self.temporal_cap[lane.index] = cap
        self.generation += 1
        self._begin(lane, splice)

    def _vp8_offsets(self, lane: Lane, splice: Splice) -> Vp8Offsets:
        """Offsets under which the splice's numbers follow what the lane was sent last."""
        last_seq = int(self.last_seq[lane.index])
        before = lane.splice_of(last_seq)
        if before is None or splice.source.codec.name != "VP8":
            return UNMOVED
        history = before.source.history
        last = history.get(before.source_seq(last_seq)) or history.head
        first = splice.source.history.get(splice.first_source_seq)
        return offsets_after(before.vp8_numbers(last), splice.vp8_numbers(first))

    def _begin(self, lane: Lane, splice: Splice) -> None:
        index = lane.index
        lane.splices.append(splice)
        self.current[index] = splice.source.number
        self.seq_offset[index] = splice.seq_offset
        self.ts_offset[index] = splice.ts_offset
        self.start_seq[index] = splice.first_source_seq
        self.payload_type[index] = splice.payload_type
        self.vp8_picture_id[index] = splice.vp8.picture_id
        self.vp8_tl0[index] = splice.vp8.tl0

    def _next_timestamp(self, index: int, clock_rate: int, now_ms: float) -> int:
        """The outgoing timestamp that real time asks for now."""
        last_ms = float(self.last_ms[index])
        if last_ms < 0:
            return int(self.last_ts[index])
        elapsed = int((now_ms - last_ms) * clock_rate / 1000)
        return int(self.last_ts[index]) + max(1, elapsed)

    def _grow(self) -> None:
        old = len(self.lanes)
        capacity = max(INITIAL_CAPACITY, old * 2)
        kept = {name: getattr(self, name)[:old] for name in self._VECTORS}
        self._allocate(capacity)
        for name, values in kept.items():
            getattr(self, name)[:old] = values
        self.lanes.extend([None] * (capacity - old))
        self._free.extend(range(capacity - 1, old - 1, -1))


def match_codec(
    wanted: CodecParameters, offered: tuple[CodecParameters, ...]
) -> CodecParameters | None:
    """The viewer's codec that carries `wanted`, nearest H.264 profile first; None if there is none.

    H.264 needs an equal packetization-mode (RFC 6184 section 8.2.2); profiles that differ are
    still decoded by every browser, so a different profile is the second choice, not a refusal.
    """
    same = [c for c in offered if c.name == wanted.name]
    if wanted.name != "H264":
        if wanted.name == "VP9":
            profile = wanted.fmtp.get("profile-id", "0")
            same = [c for c in same if c.fmtp.get("profile-id", "0") == profile] or same
        return same[0] if same else None
    mode = wanted.fmtp.get("packetization-mode", "0")
    fitting = [c for c in same if c.fmtp.get("packetization-mode", "0") == mode]
    if not fitting and mode == "0":
        fitting = [c for c in same if c.fmtp.get("packetization-mode") == "1"]
    profile = _profile_class(wanted)
    return next((c for c in fitting if _profile_class(c) == profile), next(iter(fitting), None))


def _profile_class(codec: CodecParameters) -> str:
    """H.264 profile with the constraint bits that make no difference folded together."""
    plid = codec.fmtp.get("profile-level-id", "42e01f").lower()
    return "42" if plid.startswith("42") else plid[:2]
