"""What one source delivers: losses, jitter, rates, frames (RFC 3550 section 6.4, A.3 and A.8).

Two views of loss: on the wire, as the report block tells the sender, and after repair, as the
viewers will feel it.
"""

from __future__ import annotations

from relay.core.rtcp import ReportBlock

WINDOW_MS = 1000.0
_BUCKETS = 20
_AVERAGE_WEIGHT = 1 / 16


class SlidingRate:
    """Sum of what happened in the last `window_ms`, in buckets of a twentieth."""

    __slots__ = ("_buckets", "_head", "_total", "_width_ms", "_window_ms", "started_ms")

    def __init__(self, window_ms: float = WINDOW_MS) -> None:
        self._window_ms = window_ms
        self._width_ms = window_ms / _BUCKETS
        self._buckets = [0.0] * _BUCKETS
        self._head = 0
        self._total = 0.0
        self.started_ms: float | None = None

    def add(self, amount: float, now_ms: float) -> None:
        """Count `amount` at `now_ms`."""
        if self.started_ms is None:
            self.started_ms = now_ms
            self._head = int(now_ms // self._width_ms)
        self._advance(now_ms)
        self._buckets[self._head % _BUCKETS] += amount
        self._total += amount

    def per_second(self, now_ms: float) -> float:
        """Amount per second over the window, or over the time since the first `add`."""
        if self.started_ms is None:
            return 0.0
        self._advance(now_ms)
        span = min(max(now_ms - self.started_ms, self._window_ms / 4), self._window_ms)
        return self._total * 1000.0 / span

    def _advance(self, now_ms: float) -> None:
        target = int(now_ms // self._width_ms)
        if target - self._head >= _BUCKETS:
            self._buckets = [0.0] * _BUCKETS
            self._total = 0.0
            self._head = target
        while self._head < target:
            self._head += 1
            slot = self._head % _BUCKETS
            self._total -= self._buckets[slot]
            self._buckets[slot] = 0.0


class ReceptionStats:
    """Counters of one source.

    packets, bytes: accepted ones, repaired ones included; bytes of RTP payload.
    frames, keyframes: counted at their first packet. keyframe_bytes, frame_bytes: running
    averages of whole frames; last_keyframe_bytes: the newest complete key frame.
    jitter: RFC 3550 A.8, in timestamp ticks. nacks_sent: sequence numbers asked for.
    rtx_received: packets that came as a repair. parameter_sets_inserted: packets that ingest put
    before key frames. malformed_payloads: those that the codec's format does not allow.
    duplicates, padding_only: as named.
    """

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.packets = 0
        self.bytes = 0
        self.frames = 0
        self.keyframes = 0
        self.frame_bytes = 0.0
        self.keyframe_bytes = 0.0
        self.last_keyframe_bytes = 0
        self.jitter = 0.0
        self.nacks_sent = 0
        self.rtx_received = 0
        self.duplicates = 0
        self.padding_only = 0
        self.parameter_sets_inserted = 0
        self.malformed_payloads = 0
        self.last_packet_ms = 0.0
        self.last_keyframe_ms: float | None = None
        self._now_ms = 0.0
        self._bit_rate = SlidingRate()
        self._frame_rate = SlidingRate()
        self._transit: float | None = None
        self._base_seq: int | None = None
        self._highest_seq = 0
        self._received_on_wire = 0
        self._received_in_all = 0
        self._expected_prior = 0
        self._received_prior = 0
        self._fraction_lost = 0
        self._last_sr = 0
        self._last_sr_ms = 0.0
        self._frame_timestamp: int | None = None
        self._frame_size = 0
        self._frame_is_key = False

    def on_wire(self, seq: int, *, repair: bool) -> None:
        """Count a packet, padding-only ones too. seq: extended, as the sender numbered it.

        repair: it came over RTX, which has a sequence of its own and hides no loss of this one.
        """
        if self._base_seq is None:
            self._base_seq = self._highest_seq = seq
        if seq < self._base_seq:
            self._base_seq = seq
        if seq > self._highest_seq:
            self._highest_seq = seq
        self._received_in_all += 1
        if repair:
            self.rtx_received += 1
        else:
            self._received_on_wire += 1

    def on_media(
        self, timestamp: int, size: int, now_ms: float, *, keyframe: bool, repair: bool
    ) -> None:
        """Count a packet that goes to viewers. timestamp: extended ticks; size: payload bytes."""
        self._now_ms = self.last_packet_ms = now_ms
        self.packets += 1
        self.bytes += size
        self._bit_rate.add(size * 8, now_ms)
        if not repair:
            self._update_jitter(timestamp, now_ms)
        if self._frame_timestamp is None or timestamp > self._frame_timestamp:
            self._close_frame()
            self._frame_timestamp = timestamp
            self.frames += 1
            self._frame_rate.add(1, now_ms)
        if timestamp == self._frame_timestamp:
            self._frame_size += size
            self._frame_is_key = self._frame_is_key or keyframe
        if keyframe:
            self.keyframes += 1
            self.last_keyframe_ms = now_ms

    def on_sender_report(self, last_sr: int, now_ms: float) -> None:
        """Remember an SR for LSR and DLSR. last_sr: middle 32 bits of its NTP time."""
        self._last_sr = last_sr
        self._last_sr_ms = now_ms

    def advance(self, now_ms: float) -> None:
        """Let time pass, so that the rates of a silent source fall to zero."""
        self._now_ms = max(self._now_ms, now_ms)

    def report_block(self, now_ms: float) -> ReportBlock:
        """The block for the next RR; starts a new interval for the fraction lost (A.3)."""
        expected, received = self._expected, self._received_on_wire
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (received - self._received_prior)
        self._expected_prior, self._received_prior = expected, received
        self._fraction_lost = (
            min(255, (lost_interval << 8) // expected_interval)
            if expected_interval > 0 and lost_interval > 0
            else 0
        )
        delay = int((now_ms - self._last_sr_ms) * 65.536) if self._last_sr else 0
        return ReportBlock(
            self.ssrc,
            self._fraction_lost,
            expected - received,
            (self._highest_seq - 0x10000) & 0xFFFFFFFF,  # extended numbers start in cycle 1
            int(self.jitter),
            self._last_sr,
            delay,
        )

    @property
    def lost(self) -> int:
        """Packets missing after repair, in total; what is still under way counts as missing."""
        return max(0, self._expected - self._received_in_all)

    @property
    def lost_on_wire(self) -> int:
        """Packets that the uplink lost, repaired or not."""
        return max(0, self._expected - self._received_on_wire)

    @property
    def fraction_lost(self) -> float:
        """Share lost on the wire in the interval of the last report block: 0 … 1."""
        return self._fraction_lost / 256

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter in milliseconds."""
        return self.jitter * 1000.0 / self.clock_rate

    @property
    def bitrate_bps(self) -> float:
        """Payload bits per second over the last second."""
        return self._bit_rate.per_second(self._now_ms)

    @property
    def fps(self) -> float:
        """Frames per second over the last second (audio: packets per second)."""
        return self._frame_rate.per_second(self._now_ms)

    @property
    def _expected(self) -> int:
        return 0 if self._base_seq is None else self._highest_seq - self._base_seq + 1

    def _update_jitter(self, timestamp: int, now_ms: float) -> None:
        transit = now_ms * self.clock_rate / 1000.0 - timestamp
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16.0
        self._transit = transit

    def _close_frame(self) -> None:
        """The frame before is whole: let the averages take it in."""
        if self._frame_size:
            if self._frame_is_key:
                self.last_keyframe_bytes = self._frame_size
                self.keyframe_bytes = _averaged(self.keyframe_bytes, self._frame_size, 1 / 4)
            self.frame_bytes = _averaged(self.frame_bytes, self._frame_size, _AVERAGE_WEIGHT)
        self._frame_size = 0
        self._frame_is_key = False


def _averaged(average: float, value: float, weight: float) -> float:
    return average + (value - average) * weight if average else float(value)
