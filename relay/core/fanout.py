"""Write one run of packets for many lanes: header rows by vector arithmetic, payload by broadcast.

For n lanes and k packets the rows are an n x k matrix. Everything that differs between lanes
(payload type, sequence, timestamp, SSRC, transport sequence) is one numpy assignment each; the
rest of a row is the same bytes for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from relay.core.arena import MAX_RTP_BYTES, PacketArena, SendBatch
from relay.core.header_layout import RTP_HEADER_BYTES, HeaderLayout
from relay.core.lanes import LaneState, LaneTable
from relay.core.packet import MediaPacket
from relay.core.source import Source
from relay.core.thinning import NO_CAP, Thinning
from relay.core.trains import TrainPlan, plan_trains
from relay.core.transport_sequence import TransportSequence
from relay.core.voice_form import VoiceForm
from relay.core.vp8_numbers import Vp8Vectors, vp8_numbers, write_numbers

CHUNK_ROWS = 1024
"""Rows per batch: the first viewers are on the wire while the last are still being written."""

_I64 = npt.NDArray[np.int64]


@dataclass(slots=True)
class LaneGroup:
    """Lanes that take one source with one header layout and one cap. Vectors of n.

    thinning: closes up what is above the cap. vp8: offsets, None while VP8 numbers stay as they
    are. voice: the form of sound with older frames, None for as it came. start_max: highest splice
    start among them: packets before it are not for everybody.
    """

    layout: HeaderLayout
    lanes: npt.NDArray[np.intp]
    peer: npt.NDArray[np.int32]
    payload_type: npt.NDArray[np.uint8]
    ssrc_bytes: npt.NDArray[np.uint8]
    seq_offset: _I64
    ts_offset: _I64
    start_max: int
    thinning: Thinning | None
    vp8: Vp8Vectors | None
    voice: VoiceForm | None


class FanOut:
    """Forwards packets of sources to the lanes of one track."""

    def __init__(
        self,
        arena: PacketArena,
        table: LaneTable,
        layouts: list[HeaderLayout],
        transport: TransportSequence,
    ) -> None:
        self._arena = arena
        self._table = table
        self._layouts = layouts
        self._transport = transport
        self._groups: dict[int, list[LaneGroup]] = {}
        self._generation = -1

    def forward(
        self, source: Source, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        """Packets of `source` to every LIVE lane on it. Each batch must be sent before the next
        is drawn: they share one arena."""
        plan = plan_trains([len(p.payload) for p in packets])
        mask = len(source.paddings) - 1
        for packet, padding in zip(packets, plan.paddings, strict=True):
            source.paddings[packet.seq & mask] = padding
        for group in self._live_groups(source.number):
            chosen, chosen_plan = _choose(group.thinning, packets, plan)
            if not chosen:
                continue
            if group.voice is not None:
                yield from self._forward_voice(group, group.voice, source, chosen, now_ms)
                continue
            if all(p.seq >= group.start_max for p in chosen):
                yield from self._forward_group(group, chosen, chosen_plan, now_ms)
            else:
                yield from self._forward_late(group, chosen, now_ms)

    def send_to_lane(
        self,
        lane_index: int,
        packets: Sequence[MediaPacket],
        timestamps: Sequence[int],
        now_ms: float,
    ) -> Iterator[SendBatch]:
        """Packets with given outgoing extended timestamps to one lane (its join burst)."""
        group = self._group_of(np.array([lane_index], np.intp))
        plan = plan_trains([len(p.payload) for p in packets])
        ts = np.array([timestamps], np.int64)
        yield self._write(group, packets, plan, ts, now_ms, 0, 1, original_time=False)

    def _forward_group(
        self, group: LaneGroup, packets: Sequence[MediaPacket], plan: TrainPlan, now_ms: float
    ) -> Iterator[SendBatch]:
        source_ts = np.array([p.timestamp for p in packets], np.int64)
        step = max(1, CHUNK_ROWS // len(packets))
        for first in range(0, len(group.lanes), step):
            last = min(first + step, len(group.lanes))
            ts = source_ts[None, :] + group.ts_offset[first:last, None]
            yield self._write(group, packets, plan, ts, now_ms, first, last, original_time=True)

    def _forward_voice(
        self,
        group: LaneGroup,
        form: VoiceForm,
        source: Source,
        packets: Sequence[MediaPacket],
        now_ms: float,
    ) -> Iterator[SendBatch]:
        """Sound with older frames, packet by packet: it is never padded, so that a resend is the
        same to the byte."""
        starts = self._table.start_seq[group.lanes]
        for packet in packets:
            lanes = group.lanes[starts <= packet.seq]
            if len(lanes):
                part = group if len(lanes) == len(group.lanes) else self._group_of(lanes)
                built = source.voice.packet(packet, form)
                plan = plan_trains([len(built.payload)])
                yield from self._forward_group(part, [built], plan, now_ms)

    def _forward_late(
        self, group: LaneGroup, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        """Some lanes began after some of these packets: those lanes do not get them."""
        starts = self._table.start_seq[group.lanes]
        for packet in packets:
            lanes = group.lanes[starts <= packet.seq]
            if len(lanes):
                plan = plan_trains([len(packet.payload)])
                yield from self._forward_group(self._group_of(lanes), [packet], plan, now_ms)

    def _live_groups(self, source_number: int) -> list[LaneGroup]:
        table = self._table
        if self._generation != table.generation:
            self._groups.clear()
            self._generation = table.generation
        groups = self._groups.get(source_number)
        if groups is None:
            live = np.flatnonzero(
                (table.state == LaneState.LIVE) & (table.current == source_number)
            )
            kinds = table.layout[live] * (NO_CAP + 1) + table.temporal_cap[live]
            parts = [live[kinds == n] for n in np.unique(kinds)]
            groups = [self._group_of(part) for whole in parts for part in self._by_voice(whole)]
            self._groups[source_number] = groups
        return groups

    def _by_voice(self, lanes: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
        """Lanes of one form of sound each."""
        if not self._table.voice_level[lanes].any():
            return [lanes]
        forms: dict[VoiceForm | None, list[int]] = {}
        for index in lanes.tolist():
            lane = self._table.lanes[index]
            splice = None if lane is None else lane.current
            forms.setdefault(None if splice is None else splice.voice, []).append(index)
        return [np.array(part, np.intp) for part in forms.values()]

    def _group_of(self, lanes: npt.NDArray[np.intp]) -> LaneGroup:
        table = self._table
        first = table.lanes[int(lanes[0])]
        splice = None if first is None else first.current
        thinning = None if splice is None else splice.thinning
        vp8 = None
        if splice is not None and splice.source.codec.name == "VP8":
            vectors = Vp8Vectors(table.vp8_picture_id[lanes], table.vp8_tl0[lanes])
            if thinning is not None or vectors.picture_id.any() or vectors.tl0.any():
                vp8 = vectors
        return LaneGroup(
            layout=self._layouts[int(table.layout[lanes[0]])],
            lanes=lanes,
            peer=table.peer[lanes],
            payload_type=table.payload_type[lanes],
            ssrc_bytes=table.ssrc[lanes].astype(">u4").view(np.uint8).reshape(-1, 4),
            seq_offset=table.seq_offset[lanes],
            ts_offset=table.ts_offset[lanes],
            start_max=int(table.start_seq[lanes].max()),
            thinning=thinning,
            vp8=vp8,
            voice=None if splice is None else splice.voice,
        )

    def _write(
        self,
        group: LaneGroup,
        packets: Sequence[MediaPacket],
        plan: TrainPlan,
        timestamps: _I64,
        now_ms: float,
        first: int,
        last: int,
        *,
        original_time: bool,
    ) -> SendBatch:
        """Rows for lanes first..last of the group; timestamps: int64[last - first, packets]."""
        n, k = last - first, len(packets)
        rows = self._arena.rows[: n * k].reshape(n, k, -1)
        lengths = self._arena.lengths[: n * k].reshape(n, k)
        transport_at, sizes = 0, list[int]()
        for i, packet in enumerate(packets):
            send_ms = packet.arrival_ms if original_time else now_ms
            wire, transport_at = build_packet(group.layout, packet, plan.paddings[i], send_ms)
            rows[:, i, : len(wire)] = np.frombuffer(wire, np.uint8)
            lengths[:, i] = len(wire)
            if group.vp8 is not None:
                payload_at = len(wire) - plan.paddings[i] - len(packet.payload)
                _write_vp8(rows[:, i], payload_at, packet, group, first, last)
            sizes.append(len(wire))
        lanes = group.lanes[first:last]
        peers = group.peer[first:last]
        thinning = group.thinning
        places = [p.seq if thinning is None else thinning.place(p.seq) for p in packets]
        source_seq = np.array(places, np.int64)
        seqs = source_seq[None, :] + group.seq_offset[first:last, None]
        rows[:, :, 1] |= group.payload_type[first:last, None]
        rows[:, :, 2:4] = seqs.astype(">u2").view(np.uint8).reshape(n, k, 2)
        rows[:, :, 4:8] = timestamps.astype(">u4").view(np.uint8).reshape(n, k, 4)
        rows[:, :, 8:12] = group.ssrc_bytes[first:last, None, :]
        if transport_at:
            taken = self._transport.take(peers, sizes, now_ms)
            rows[:, :, transport_at : transport_at + 2] = (
                taken.astype(">u2").view(np.uint8).reshape(n, k, 2)
            )
        self._account(lanes, packets, plan, seqs, timestamps, now_ms)
        trains = len(plan.counts)
        return SendBatch(
            arena=self._arena,
            row_count=n * k,
            train_peer=np.repeat(peers, trains) if trains > 1 else peers,
            train_rows=_train_rows(plan.counts, n),
        )

    def _account(
        self,
        lanes: npt.NDArray[np.intp],
        packets: Sequence[MediaPacket],
        plan: TrainPlan,
        seqs: _I64,
        timestamps: _I64,
        now_ms: float,
    ) -> None:
        table = self._table
        newest = int(np.argmax(seqs[0]))
        ahead = seqs[:, newest] > table.last_seq[lanes]
        moved = lanes[ahead]
        table.last_seq[moved] = seqs[ahead, newest]
        table.last_ts[moved] = np.maximum(table.last_ts[moved], timestamps[ahead, newest])
        table.last_ms[moved] = now_ms
        table.packets[lanes] += len(packets)
        table.octets[lanes] += sum(len(p.payload) for p in packets)


def _choose(
    thinning: Thinning | None, packets: Sequence[MediaPacket], plan: TrainPlan
) -> tuple[Sequence[MediaPacket], TrainPlan]:
    """Packets that are not left out, and their part of the plan."""
    if thinning is None:
        return packets, plan
    kept = [i for i, packet in enumerate(packets) if thinning.keeps(packet)]
    if len(kept) == len(packets):
        return packets, plan
    return [packets[i] for i in kept], plan.only(kept)


def _write_vp8(
    rows: npt.NDArray[np.uint8],
    payload_at: int,
    packet: MediaPacket,
    group: LaneGroup,
    first: int,
    last: int,
) -> None:
    """The group's own VP8 numbers into the rows of one packet for lanes first..last."""
    numbers = vp8_numbers(packet.payload)
    if numbers is not None and group.vp8 is not None:
        offsets = Vp8Vectors(group.vp8.picture_id[first:last], group.vp8.tl0[first:last])
        write_numbers(rows, payload_at, numbers, group.thinning, offsets)


@lru_cache(maxsize=256)
def _train_rows(counts: tuple[int, ...], lanes: int) -> npt.NDArray[np.int32]:
    """Rows of each train when every lane gets trains of these lengths; read-only, kept."""
    rows = np.tile(np.array(counts, np.int32), lanes)
    rows.flags.writeable = False
    return rows


def build_packet(
    layout: HeaderLayout, packet: MediaPacket, padding: int, send_ms: float
) -> tuple[bytes, int]:
    """An RTP packet with zeros where lanes differ, and where its transport sequence number is.

    The marker bit is set; payload type, sequence, timestamp and SSRC are left zero.
    """
    block, transport_at = layout.block(packet, send_ms)
    first = 0x80 | (0x10 if block else 0) | (0x20 if padding else 0)
    tail = bytes(padding - 1) + bytes((padding,)) if padding else b""
    wire = b"".join(
        (bytes((first, 0x80 if packet.marker else 0)), bytes(10), block, packet.payload, tail)
    )
    if len(wire) > MAX_RTP_BYTES:
        raise ValueError(f"packet of {len(wire)} bytes does not fit {MAX_RTP_BYTES}")
    return wire, RTP_HEADER_BYTES + transport_at if transport_at else 0
