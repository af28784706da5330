"""The forwarding core of one stream: the one class that the shell drives.

Feed it packets, RTCP and the clock; drain what it returns before the next call:

- `on_packets`, `on_viewer_rtcp`, `poll` return batches to send (they share one arena: send each
  before drawing the next);
- `take_keyframe_requests` names the sources whose publisher is to be asked for a key frame;
- `take_sender_reports` returns RTCP for viewers, to be called some ten times a second;
- `next_deadline_ms` says when `poll` must be called at the latest.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from relay.core.arena import PacketArena, SendBatch
from relay.core.drops import DropReason
from relay.core.join import BURST_BPS
from relay.core.lanes import LaneState
from relay.core.line.control import LineControl
from relay.core.line.layer_choice import LayerWish
from relay.core.line.line_state import LineStatus
from relay.core.line.viewer_line import SHARE
from relay.core.negotiation import Kind, ViewerNegotiation
from relay.core.packet import MediaPacket
from relay.core.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    RtcpError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    encode,
    ntp_from_seconds,
    parse_compound,
)
from relay.core.source import Source
from relay.core.track import Track
from relay.core.transport_sequence import TransportSequence
from relay.core.viewer import Viewer

REPORT_INTERVAL_MS = 2000.0
FIRST_REPORT_MS = 150.0


class StreamRouter:
    """Sources in, lanes out, for the audio and video of one stream."""

    def __init__(self, arena: PacketArena, rng: random.Random | None = None) -> None:
        rng = rng or random.Random(random.SystemRandom().getrandbits(64))  # noqa: S311
        self._arena = arena
        transport = TransportSequence()
        self.tracks: dict[Kind, Track] = {
            "audio": Track("audio", arena, transport, rng),
            "video": Track("video", arena, transport, rng),
        }
        self.lines = LineControl(self.tracks["video"], transport)
        self.viewers: dict[str, Viewer] = {}
        self.drops: Counter[DropReason] = Counter()
        self.nacked = 0
        self.repairs_sent = 0
        self._source_numbers = 0

    # -- sources

    def next_source_number(self) -> int:
        """A number for a new `Source`."""
        self._source_numbers += 1
        return self._source_numbers

    def set_source(self, kind: Kind, source: Source | None) -> None:
        """Take this track from `source` from its next key frame on."""
        self.tracks[kind].set_source(source)

    def set_layers(self, kind: Kind, layers: Sequence[Source]) -> None:
        """Take this track from these sources, richest first; each lane from the one that fits."""
        self.tracks[kind].set_layers(layers)

    def on_packets(
        self, source: Source, packets: Sequence[MediaPacket], now_ms: float
    ) -> Iterator[SendBatch]:
        """Forward packets of a source to everyone who takes it."""
        return self.tracks[source.kind].on_packets(source, packets, now_ms)

    # -- viewers

    def add_viewer(self, viewer_id: str, peer_index: int, negotiation: ViewerNegotiation) -> Viewer:
        """A viewer whose transport is not up yet."""
        viewer = Viewer(viewer_id, peer_index, negotiation)
        for media in negotiation.media:
            if media.ssrcs and media.kind not in viewer.lanes:
                track = self.tracks[media.kind]
                first = 0 if media.rids else None
                viewer.lanes[media.kind] = track.add_lane(media, peer_index, first)
                viewer.more_lanes += [
                    track.add_lane(media, peer_index, rank) for rank in range(1, len(media.rids))
                ]
        self.viewers[viewer_id] = viewer
        return viewer

    def start_viewer(
        self, viewer: Viewer, now_ms: float, *, line_key: str | None = None, limited: bool = True
    ) -> None:
        """Its transport is up: media may flow.

        line_key: whose line it is, so that it begins with what was known of it. limited: False for
        a viewer (a relay) that gets the richest layer whatever its line does.
        """
        viewer.started_ms = now_ms
        viewer.next_report_ms = now_ms + FIRST_REPORT_MS
        line_bps = self.lines.start(viewer, now_ms, line_key) if limited else float("inf")
        for kind, lane in viewer.all_lanes():
            track = self.tracks[kind]
            if kind == "video" and line_bps != float("inf"):
                track.set_wish(lane, track.wish_of(lane).with_budget(line_bps * SHARE), now_ms)
            track.start_lane(lane, now_ms, min(line_bps, BURST_BPS))

    def change_wish(
        self, viewer: Viewer, change: Callable[[LayerWish], LayerWish], now_ms: float
    ) -> None:
        """Change what limits a viewer's choice of layer."""
        lane = viewer.lanes.get("video")
        if lane is not None:
            track = self.tracks["video"]
            track.set_wish(lane, change(track.wish_of(lane)), now_ms)

    def remove_viewer(self, viewer: Viewer, now_ms: float) -> None:
        """Forget a viewer; harmless when it is gone already."""
        if self.viewers.pop(viewer.id, None) is None:
            return
        self.lines.stop(viewer.id, now_ms)
        for kind, lane in viewer.all_lanes():
            self.drops.update(self.tracks[kind].repairs_of(lane).drops)
            self.tracks[kind].remove_lane(lane)

    def sent_of(self, viewer: Viewer) -> tuple[int, int]:
        """(packets, payload bytes) sent to a viewer so far, repairs left out."""
        packets = octets = 0
        for kind, lane in viewer.all_lanes():
            table = self.tracks[kind].table
            packets += int(table.packets[lane.index])
            octets += int(table.octets[lane.index])
        return packets, octets

    def all_drops(self) -> Counter[DropReason]:
        """Drops of the stream, those of its viewers' repairs included."""
        drops = self.drops.copy()
        for viewer in self.viewers.values():
            for kind, lane in viewer.all_lanes():
                drops.update(self.tracks[kind].repairs_of(lane).drops)
        return drops

    def on_overflow(self, viewer: Viewer, now_ms: float) -> None:
        """Its send queue dropped packets: no picture until the next key frame."""
        line = self.lines.line_of(viewer.id)
        if line is not None:
            line.on_overflow(now_ms)
        lane = viewer.lanes.get("video")
        if lane is not None:
            self.tracks["video"].hold(lane)
            self.drops[DropReason.SEND_QUEUE_FULL] += 1

    # -- RTCP of viewers

    def on_viewer_rtcp(self, viewer: Viewer, data: bytes, now_ms: float) -> list[SendBatch]:
        """A compound from a viewer; returns repairs to send (at most one batch)."""
        try:
            packets = parse_compound(data)
        except RtcpError:
            self.drops[DropReason.MALFORMED_RTCP] += 1
            return []
        repairs: list[bytes] = []
        for packet in packets:
            repairs += self._on_viewer_packet(viewer, packet, now_ms)
        return [self._batch_of(viewer.peer_index, repairs)] if repairs else []

    def _on_viewer_packet(self, viewer: Viewer, packet: RtcpPacket, now_ms: float) -> list[bytes]:
        match packet:
            case ReceiverReport() | SenderReport():
                viewer.on_report_blocks(packet.reports, self.tracks, now_ms)
                self._on_report(viewer, now_ms)
            case Nack():
                return self._on_nack(viewer, packet, now_ms)
            case PictureLoss():
                viewer.report.plis += 1
                self._on_keyframe_request(viewer, packet.media_ssrc, now_ms)
            case FullIntraRequest():
                for ssrc, _ in packet.entries:
                    self._on_keyframe_request(viewer, ssrc, now_ms)
            case Remb():
                viewer.report.remb_bps = float(packet.bitrate_bps)
                line = self.lines.line_of(viewer.id)
                if line is not None:
                    line.on_remb(viewer.report.remb_bps, now_ms)
            case TransportFeedback():
                self.lines.on_feedback(viewer.id, packet, now_ms)
            case _:
                pass
        return []

    def _on_report(self, viewer: Viewer, now_ms: float) -> None:
        line, video = self.lines.line_of(viewer.id), viewer.report.tracks.get("video")
        if line is not None and video is not None and video.received_ms == now_ms:
            line.on_report(video.loss_ratio, viewer.report.rtt_ms, now_ms)

    def _on_nack(self, viewer: Viewer, nack: Nack, now_ms: float) -> list[bytes]:
        found = viewer.lane_of(nack.media_ssrc)
        if found is None:
            self.drops[DropReason.UNKNOWN_SSRC] += 1
            return []
        kind, lane = found
        viewer.report.nacks += len(nack.seqs)
        line = self.lines.line_of(viewer.id)
        if kind == "video" and line is not None and line.on_nacks(nack.seqs, now_ms):
            line.decide(now_ms)
        rtt_ms = viewer.report.rtt_ms or 0.0
        repairer = self.tracks[kind].repairs_of(lane)
        repairs = repairer.on_nack(nack.seqs, rtt_ms, now_ms)
        self.nacked += len(nack.seqs)
        self.repairs_sent += len(repairs)
        return repairs

    def _on_keyframe_request(self, viewer: Viewer, ssrc: int, now_ms: float) -> None:
        found = viewer.lane_of(ssrc)
        if found is not None and found[0] == "video":
            self.tracks["video"].on_keyframe_request(found[1], now_ms)
        else:
            self.drops[DropReason.UNKNOWN_SSRC] += 1

    def _batch_of(self, peer_index: int, wires: list[bytes]) -> SendBatch:
        count = min(len(wires), self._arena.capacity)
        for i, wire in enumerate(wires[:count]):
            self._arena.rows[i, : len(wire)] = np.frombuffer(wire, np.uint8)
            self._arena.lengths[i] = len(wire)
        return SendBatch(
            arena=self._arena,
            row_count=count,
            train_peer=np.full(count, peer_index, np.int32),
            train_rows=np.ones(count, np.int32),
        )

    # -- time

    def poll(self, now_ms: float) -> Iterator[SendBatch]:
        """Join bursts and padding that are due."""
        yield from self.tracks["video"].poll(now_ms)
        for line, count in self.lines.padding_due(now_ms):
            wires = self.tracks["video"].repairs_of(line.lane).padding(count, now_ms)
            if wires:
                yield self._batch_of(line.lane.peer_index, wires)

    def next_deadline_ms(self) -> float:
        """When `poll` or `take_keyframe_requests` has work; infinity when neither has."""
        video = self.tracks["video"]
        deadline = min(video.next_deadline_ms(), self.lines.next_deadline_ms())
        for source in video.layers:
            deadline = min(deadline, source.keyframes.next_deadline_ms())
        return deadline

    def decide_lines(self, now_ms: float) -> list[tuple[str, LineStatus]]:
        """Choose layers by what the lines carry, some ten times a second; returns (viewer id,
        status) of those who get something else than before."""
        changed = self.lines.poll_slowly(now_ms)
        voice = self.tracks["audio"].source
        voice_bps = 0.0 if voice is None else voice.bitrate_bps
        for viewer in self.viewers.values():
            lane, line = viewer.lanes.get("audio"), self.lines.line_of(viewer.id)
            if lane is not None and line is not None:
                losses = (report.loss_ratio for report in viewer.report.tracks.values())
                level = line.voice_level(max(losses, default=0.0), voice_bps, now_ms)
                self.tracks["audio"].set_voice_level(lane, level)
        return changed

    def ask_for_waiting(self, now_ms: float) -> None:
        """Wish for a key frame if viewers have been waiting for one; some ten times a second."""
        self.tracks["video"].ask_for_waiting(now_ms)

    def take_keyframe_requests(self, now_ms: float) -> list[Source]:
        """Sources whose publisher is to be asked for a key frame now."""
        return [s for s in self.tracks["video"].layers if s.keyframes.poll(now_ms)]

    def take_sender_reports(self, now_ms: float, ntp_seconds: float) -> list[tuple[Viewer, bytes]]:
        """Compounds (SR, SDES of each track) for the viewers whose turn it is.

        ntp_seconds: our wall clock now, seconds since 1900.
        """
        due = [v for v in self.viewers.values() if v.next_report_ms <= now_ms]
        if not due:
            return []
        ntp = ntp_from_seconds(ntp_seconds)
        reports: list[tuple[Viewer, bytes]] = []
        for viewer in due:
            viewer.next_report_ms = now_ms + REPORT_INTERVAL_MS
            compound = self._sender_reports_of(viewer, ntp, now_ms)
            if compound:
                viewer.note_sent_report(ntp, now_ms)
                reports.append((viewer, encode(compound)))
        return reports

    def empty_report(self, viewer: Viewer) -> bytes:
        """A compound that says no more than that we live (RFC 3550 section 6.4.2)."""
        ssrc = next((lane.ssrc for lane in viewer.lanes.values()), 0)
        return encode([ReceiverReport(ssrc), SourceDescription.of_cname(ssrc, "wardcast")])

    def _sender_reports_of(self, viewer: Viewer, ntp: int, now_ms: float) -> list[RtcpPacket]:
        compound: list[RtcpPacket] = []
        for kind, lane in viewer.all_lanes():
            track = self.tracks[kind]
            splice = lane.current
            if splice is None or track.state_of(lane) != LaneState.LIVE:
                continue
            timestamp = splice.source.timestamp_at(now_ms)
            if timestamp is None or not splice.source.alive(now_ms):
                continue
            compound.append(
                SenderReport(
                    ssrc=lane.ssrc,
                    ntp_timestamp=ntp,
                    rtp_timestamp=(timestamp + splice.ts_offset) & 0xFFFFFFFF,
                    packet_count=int(track.table.packets[lane.index]) & 0xFFFFFFFF,
                    octet_count=int(track.table.octets[lane.index]) & 0xFFFFFFFF,
                )
            )
            compound.append(SourceDescription.of_cname(lane.ssrc, "wardcast"))
        return compound
