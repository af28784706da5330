"""One incoming RTP stream: placing its packets, finding its key frames, noticing restarts.

A packet is taken once, placed in the viewers' numbering (`sequence_map`), looked into for key
frame and frame boundaries, and counted. An encoder that begins anew under the same SSRC (its
sequence or its timestamp jumps, or its payload type changes) ends this source: the caller makes a
new one, and viewers are spliced onto it at a key frame. A sequence jump is believed at its second
packet; the first is held meanwhile, so that nothing of a key frame is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from relay.core.drops import DropReason
from relay.core.layer_reader import LayerReader
from relay.core.nack_generator import NackGenerator
from relay.core.negotiation import (
    EXT_AUDIO_LEVEL,
    EXT_DEPENDENCY_DESCRIPTOR,
    EXT_VIDEO_ORIENTATION,
    CodecParameters,
    Kind,
    MediaNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.payload_reader import PayloadReader
from relay.core.reception import ReceptionStats
from relay.core.rtcp import SenderReport, middle_ntp
from relay.core.rtp import RtpView
from relay.core.sequence_map import SequenceMap
from relay.core.serial import (
    LATE_WINDOW,
    SEQUENCE_BITS,
    TIMESTAMP_BITS,
    SequenceGuard,
    Step,
    Unwrapper,
)
from relay.core.source import SenderReportPoint
from relay.core.source_binding import Binding, extension_id

MAX_PAYLOAD_BYTES = 1400
MAX_TIMESTAMP_BACK_S = 2.0
MAX_TIMESTAMP_AHEAD_S = 10.0
"""Seconds that a timestamp may run ahead of the time that passed, before it is a restart."""

_SUSPECT, _RESTART = Step.SUSPECT, Step.RESTART
_SEEN_SLOTS = 4096
_FRAMES_REMEMBERED = 16
"""Frames whose beginning is remembered: a payload may claim to begin one that already began."""
assert _SEEN_SLOTS > 2 * LATE_WINDOW


@dataclass(frozen=True, slots=True)
class Restart:
    """The packet belongs to a new stream under the same SSRC and was not taken.

    held: the new stream's first packet, which looked like a stray when it came.
    """

    held: RtpView | None = None


@dataclass(slots=True)
class KeyframeWish:
    """A key-frame request that waits for its answer."""

    due_ms: float
    attempts_left: int


class IngestSource:
    """A source of a publisher: one SSRC between two restarts.

    kind, mid, rid, ssrc, codec, clock_rate: what it is. stats: what it delivers. sender_report:
    the newest SR. nack: present if the publisher negotiated NACK. round_trip_ms: a sample, if the
    packet last accepted answered a NACK. said_bye: its SSRC left.
    """

    def __init__(self, ssrc: int, binding: Binding, now_ms: float) -> None:
        self.binding = binding
        self.ssrc = ssrc
        self.media: MediaNegotiation = binding.media
        self.kind: Kind = binding.media.kind
        self.mid = binding.media.mid
        self.rid = binding.rid
        self.codec: CodecParameters = binding.codec
        self.clock_rate = binding.codec.clock_rate
        self.stats = ReceptionStats(ssrc, self.clock_rate)
        self.sender_report: SenderReportPoint | None = None
        self.nack = NackGenerator() if "nack" in self.codec.rtcp_feedback else None
        self.round_trip_ms: float | None = None
        self.said_bye = False
        self.last_packet_ms = now_ms
        self.keyframe_wish: KeyframeWish | None = None
        self.fir_number = 0
        self._sequence = Unwrapper(SEQUENCE_BITS)
        self._timestamp = Unwrapper(TIMESTAMP_BITS)
        self._timestamp_ms = now_ms
        self._guard = SequenceGuard()
        self._held: RtpView | None = None
        self._seen = [-1] * _SEEN_SLOTS
        self._map = SequenceMap()
        self._reader = PayloadReader(self.codec)
        self._layers = LayerReader(
            self.codec.name, extension_id(self.media, EXT_DEPENDENCY_DESCRIPTOR)
        )
        self._keyframe_timestamps: deque[int] = deque(maxlen=_FRAMES_REMEMBERED)
        self._started_timestamps: deque[int] = deque(maxlen=_FRAMES_REMEMBERED)
        self._audio_level_id = extension_id(self.media, EXT_AUDIO_LEVEL)
        self._orientation_id = extension_id(self.media, EXT_VIDEO_ORIENTATION)

    @property
    def can_request_keyframe(self) -> bool:
        """The publisher negotiated PLI or FIR for this video."""
        feedback = self.codec.rtcp_feedback
        return self.kind == "video" and ("nack pli" in feedback or "ccm fir" in feedback)

    def misses(self, seq: int) -> bool:
        """True when the 16-bit `seq` has been asked for and has not come."""
        return self.nack is not None and self.nack.is_missing(self._sequence.peek(seq))

    def extend_timestamp(self, timestamp: int) -> int:
        """Extended number nearest to a 32-bit `timestamp`, without moving anything."""
        return self._timestamp.peek(timestamp)

    def on_sender_report(self, report: SenderReport, now_ms: float) -> None:
        """Take the sender's clock from an SR."""
        self.stats.on_sender_report(middle_ntp(report.ntp_timestamp), now_ms)
        self.sender_report = SenderReportPoint(
            report.ntp_seconds, self._timestamp.peek(report.rtp_timestamp), now_ms
        )

    def accept(
        self, view: RtpView, now_ms: float, *, repair: bool = False
    ) -> list[MediaPacket] | DropReason | Restart:
        """Take a packet: the media packets that it yields, in order, or why there is none."""
        refusal = self._check_order(view, now_ms, repair=repair)
        if refusal is not None:
            return refusal
        seq = self._sequence.unwrap(view.seq)
        slot = seq % _SEEN_SLOTS
        if self._seen[slot] == seq:
            self.stats.duplicates += 1
            return DropReason.DUPLICATE
        self._seen[slot] = seq
        self.last_packet_ms = now_ms
        if seq == self._sequence.highest:
            self.said_bye = False
        if self.nack is not None:
            answered_ms = self.nack.on_packet(seq, now_ms)
            self.round_trip_ms = answered_ms if repair else None
        self.stats.on_wire(seq, repair=repair)
        if len(view.payload) > MAX_PAYLOAD_BYTES:
            return DropReason.OVERSIZED
        if not view.payload:
            return self._take_padding(view, seq, now_ms)
        timestamp = self._timestamp.unwrap(view.timestamp)
        if timestamp == self._timestamp.highest:
            self._timestamp_ms = now_ms
        return self._take_media(view, seq, timestamp, now_ms, repair=repair)

    def _check_order(
        self, view: RtpView, now_ms: float, *, repair: bool
    ) -> DropReason | Restart | None:
        """None when the packet may be taken."""
        if repair:
            highest = self._sequence.highest
            if highest is None or abs(self._sequence.peek(view.seq) - highest) >= LATE_WINDOW:
                return DropReason.TOO_OLD
            return None
        if view.payload_type != self.codec.payload_type:
            return Restart()
        step = self._guard.classify(view.seq)
        if step is _SUSPECT:
            self._held = view
            return DropReason.TOO_OLD
        if step is _RESTART:
            return Restart(self._held)
        if view.payload and self._timestamp_jumped(view.timestamp, now_ms):
            return Restart()
        return None

    def _timestamp_jumped(self, timestamp: int, now_ms: float) -> bool:
        highest = self._timestamp.highest
        if highest is None:
            return False
        moved_s = (self._timestamp.peek(timestamp) - highest) / self.clock_rate
        elapsed_s = (now_ms - self._timestamp_ms) / 1000.0
        if moved_s < 0:
            return moved_s < -MAX_TIMESTAMP_BACK_S
        return moved_s - elapsed_s > MAX_TIMESTAMP_AHEAD_S

    def _take_padding(
        self, view: RtpView, seq: int, now_ms: float
    ) -> list[MediaPacket] | DropReason:
        self.stats.padding_only += 1
        if self._map.remove(seq):
            return DropReason.PADDING_ONLY
        # Its neighbours already went out around it: an empty packet fills the hole, and a
        # receiver takes it for padding.
        timestamp = self._timestamp.peek(view.timestamp)
        return [self._packet(view, self._map.place(seq), timestamp, b"", now_ms)]

    def _take_media(
        self, view: RtpView, seq: int, timestamp: int, now_ms: float, *, repair: bool
    ) -> list[MediaPacket]:
        reading = self._reader.read(view.payload, timestamp)
        info = reading.info
        keyframe = info.keyframe and _is_first(timestamp, self._keyframe_timestamps)
        start = info.frame_start and _is_first(timestamp, self._started_timestamps)
        payloads: list[tuple[int, bytes]] = []
        if reading.insert_before is not None:
            number = self._map.insert(seq)
            if number is not None:
                payloads.append((number, reading.insert_before))
                self.stats.parameter_sets_inserted += 1
        self.stats.malformed_payloads = self._reader.malformed
        payloads.append((self._map.place(seq), view.payload))
        last = len(payloads) - 1
        layer = self._layers.read(info, timestamp, view.extensions)
        packets = [
            self._packet(
                view,
                number,
                timestamp,
                payload,
                now_ms,
                keyframe=keyframe and index == 0,
                start=start and index == 0,
                marker=view.marker and index == last,
                layer=layer,
            )
            for index, (number, payload) in enumerate(payloads)
        ]
        if keyframe:
            self.keyframe_wish = None
            if self.nack is not None:
                self.nack.on_keyframe(seq)
        self.stats.on_media(timestamp, len(view.payload), now_ms, keyframe=keyframe, repair=repair)
        return packets

    def _packet(
        self,
        view: RtpView,
        number: int,
        timestamp: int,
        payload: bytes,
        now_ms: float,
        *,
        keyframe: bool = False,
        start: bool = False,
        marker: bool = False,
        layer: tuple[int, int] = (0, 0),
    ) -> MediaPacket:
        level = view.extensions.get(self._audio_level_id)
        orientation = view.extensions.get(self._orientation_id)
        return MediaPacket(
            number,
            timestamp,
            payload,
            self.codec.payload_type,
            marker,
            keyframe,
            start,
            now_ms,
            level[0] if level else None,
            orientation[0] if orientation else None,
            *layer,
        )


def _is_first(timestamp: int, remembered: deque[int]) -> bool:
    """True once per timestamp."""
    if timestamp in remembered:
        return False
    remembered.append(timestamp)
    return True
