"""One incoming RTP stream as the forwarding core holds it: its history and its key frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from relay.core.codecs.frame_size import frame_size
from relay.core.history import CAPACITY_PACKETS, PacketHistory
from relay.core.keyframes import KeyframeRequester
from relay.core.negotiation import CodecParameters, Kind
from relay.core.packet import MediaPacket
from relay.core.thinning import Thinning
from relay.core.voice_form import VoiceForms
from relay.core.vp8_numbers import picture_id_of

FIRST_GROUP_MS, MAX_GROUP_MS = 2400.0, 6000.0
RATE_WINDOW_MS = 1000.0
WIRE_OVERHEAD_BYTES = 68
"""Headers, extensions, SRTP tag, UDP and IPv4 of one packet."""
RATE_RISE, RATE_FALL = 0.25, 0.12
"""The typical rate follows a rise sooner than a fall: a layer must fit when its picture moves."""
TEMPORAL_LAYERS = 4
ALIVE_MS = 2000.0
CLOCK_WINDOW = 64
"""Sender reports over which the least delayed one is looked for: half a minute of two tracks."""


@dataclass(frozen=True)
class SenderReportPoint:
    """Where a source's clock stood (RFC 3550 section 6.4.1).

    ntp_seconds: the sender's wall clock, seconds since 1900.
    rtp_timestamp: extended timestamp at that instant, in clock-rate ticks.
    received_ms: monotonic milliseconds at which we read the report.
    """

    ntp_seconds: float
    rtp_timestamp: int
    received_ms: float


class PublisherClock:
    """A publisher's wall clock in our monotonic milliseconds, shared by all its sources.

    The least delayed of the recent sender reports tells the offset, so that audio and video keep
    their distance to the microsecond whatever delay each report had on the way.
    """

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=CLOCK_WINDOW)

    def observe(self, point: SenderReportPoint) -> None:
        """Take one sender report."""
        self._offsets.append(point.received_ms - point.ntp_seconds * 1000.0)

    def local_ms(self, ntp_seconds: float) -> float:
        """Monotonic milliseconds of an instant of the publisher's clock."""
        return ntp_seconds * 1000.0 + min(self._offsets)


class Source:
    """A layer of a track: history, key-frame requests, the sender's clock.

    number: unique within a router, never reused. can_request_keyframe: the sender negotiated
    PLI or FIR; without it the kept group of pictures is all a joiner can get.
    """

    def __init__(
        self,
        number: int,
        kind: Kind,
        codec: CodecParameters,
        *,
        can_request_keyframe: bool,
        rid: str | None = None,
        clock: PublisherClock | None = None,
    ) -> None:
        self.number = number
        self.kind: Kind = kind
        self.codec = codec
        self.rid = rid
        self.can_request_keyframe = can_request_keyframe
        self.history = PacketHistory()
        self.keyframes = KeyframeRequester()
        self.clock = clock or PublisherClock()
        self.sender_report: SenderReportPoint | None = None
        self.bitrate_bps = 0.0
        self.size: tuple[int, int] | None = None
        """(width, height) of the newest key frame that told."""
        self.keyframe_bytes = 0.0
        self._keyframe_timestamp: int | None = None
        self.top_temporal_id = 0
        """The highest that a packet has had."""
        self._thinnings: dict[int, Thinning] = {}
        self.voice = VoiceForms(self.history.get)
        self._window_ms: float | None = None
        self._window_bytes = 0
        self._window_wire = [0] * TEMPORAL_LAYERS
        self._wire_bps = [0.0] * TEMPORAL_LAYERS
        self.paddings = bytearray(CAPACITY_PACKETS)
        """RTP padding of each packet kept, by history slot, so that a resend is identical."""

    @property
    def clock_rate(self) -> int:
        """Ticks of the RTP timestamp in a second."""
        return self.codec.clock_rate

    def append(self, packet: MediaPacket) -> bool:
        """Keep a packet and what it tells of the bitrate; False for one already kept or too old."""
        if not self.history.append(packet):
            return False
        for thinning in self._thinnings.values():
            thinning.on_packet(packet, picture_id_of(self.codec.name, packet.payload))
        self.top_temporal_id = max(self.top_temporal_id, packet.temporal_id)
        size = len(packet.payload)
        self._measure(size, packet.temporal_id, packet.arrival_ms)
        if packet.keyframe:
            self.keyframes.on_keyframe(self.keyframe_bytes, self.bitrate_bps, packet.arrival_ms)
            self._keyframe_timestamp, self.keyframe_bytes = packet.timestamp, 0.0
            self.size = frame_size(self.codec.name, packet.payload) or self.size
        if packet.timestamp == self._keyframe_timestamp:
            self.keyframe_bytes += size
        return True

    def thinned(self, cap: int) -> Thinning:
        """The source without its temporal layers above `cap`; the same object for all viewers."""
        thinning = self._thinnings.get(cap)
        if thinning is None:
            first = self.history.keyframe_seq
            kept = self.history.span(self.history.head_seq if first is None else first)
            name = self.codec.name
            thinning = Thinning.of(cap, ((p, picture_id_of(name, p.payload)) for p in kept))
            self._thinnings[cap] = thinning
        return thinning

    def alive(self, now_ms: float) -> bool:
        """A packet came within the last ALIVE_MS."""
        head = self.history.head
        return head is not None and now_ms - head.arrival_ms <= ALIVE_MS

    def keep_group_short(self, now_ms: float) -> None:
        """Encoders that make key frames only when asked (browsers) are asked now and then: the
        kept group stays short, so that joiners and lost viewers need not wait for one."""
        keyframe = self.history.keyframe
        first = self.history.keyframe_seq is None
        age_ms = float("inf") if keyframe is None else now_ms - keyframe.arrival_ms
        limit_ms = FIRST_GROUP_MS if self.keyframes.untried else MAX_GROUP_MS
        if not first and age_ms > limit_ms and not self.keyframes.pending:
            self.keyframes.want(now_ms)

    def wire_bps(self, cap: int = TEMPORAL_LAYERS) -> float:
        """Typical rate with headers of temporal layers up to `cap`; 0 until measured."""
        return sum(self._wire_bps[: cap + 1])

    def _measure(self, size: int, temporal_id: int, now_ms: float) -> None:
        self._window_bytes += size
        self._window_wire[min(temporal_id, TEMPORAL_LAYERS - 1)] += size + WIRE_OVERHEAD_BYTES
        if self._window_ms is None:
            self._window_ms = now_ms
        span_ms = now_ms - self._window_ms
        if span_ms >= RATE_WINDOW_MS:
            self.bitrate_bps = self._window_bytes * 8000 / span_ms
            for i, size in enumerate(self._window_wire):
                wire_bps, known_bps = size * 8000 / span_ms, self._wire_bps[i]
                weight = RATE_RISE if wire_bps > known_bps else RATE_FALL
                self._wire_bps[i] += (wire_bps - known_bps) * (weight if known_bps else 1.0)
            self._window_wire = [0] * TEMPORAL_LAYERS
            self._window_ms, self._window_bytes = now_ms, 0

    def on_sender_report(self, point: SenderReportPoint) -> None:
        """The publisher said where its clock stands."""
        if point.ntp_seconds > 0:
            self.sender_report = point
            self.clock.observe(point)

    def timestamp_at(self, now_ms: float) -> int | None:
        """Extended RTP timestamp of the source at `now_ms`; None before its first packet."""
        if self.sender_report is not None:
            then_ms = self.clock.local_ms(self.sender_report.ntp_seconds)
            elapsed_ms = now_ms - then_ms
            return self.sender_report.rtp_timestamp + int(elapsed_ms * self.clock_rate / 1000)
        head = self.history.head
        if head is None:
            return None
        return head.timestamp + int((now_ms - head.arrival_ms) * self.clock_rate / 1000)
