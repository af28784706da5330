"""Watching one video source: frames, key frames, size, rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from relay.core.codecs import CodecError, inspector_for
from relay.core.codecs.av1 import av1_frame_size
from relay.core.codecs.vp8 import vp8_frame_size
from relay.core.codecs.vp9 import vp9_frame_size
from relay.core.lint_h264 import H264Watch
from relay.core.lint_limits import LintLimits
from relay.core.lint_window import SlidingSum

CLOCK_KHZ = 90.0
RTP_HEADER_BYTES = 12
RECENT_TIMESTAMPS = 32
RESPONSIVE_MS = 1500.0
"""A key frame within this time of a request answers it."""

Size = tuple[int, int]
_FRAME_SIZES: Mapping[str, Callable[[bytes], Size | None]] = {
    "VP8": vp8_frame_size,
    "VP9": vp9_frame_size,
    "AV1": av1_frame_size,
}


class VideoWatch:
    """One video source: one encoder, one simulcast layer.

    first_ms, last_ms: arrival of its first and newest packet. keyframe_ms: arrival of its newest
    key frame, None before one. keyframe_gap_ms: media time between the two newest.
    """

    def __init__(self, codec_name: str, limits: LintLimits, now_ms: float) -> None:
        self.codec_name = codec_name
        self.first_ms = self.last_ms = now_ms
        self.bytes = SlidingSum(limits.window_ms)
        self.frames = SlidingSum(limits.window_ms)
        self.backward = SlidingSum(limits.window_ms)
        self.malformed = SlidingSum(limits.window_ms)
        self.h264 = H264Watch(limits.window_ms) if codec_name == "H264" else None
        self.size: Size | None = None
        self.previous_size: Size | None = None
        self.size_changed_ms = 0.0
        self.keyframe_ms: float | None = None
        self.keyframe_gap_ms = 0.0
        self.answers_requests = False
        self._keyframe_timestamp = 0
        self._asked_ms: float | None = None
        self._highest: int | None = None
        self._recent: deque[int] = deque(maxlen=RECENT_TIMESTAMPS)
        self._inspect = inspector_for(codec_name)
        self._frame_size = _FRAME_SIZES.get(codec_name)

    def on_packet(self, payload: bytes, timestamp: int, now_ms: float) -> None:
        """Take one packet; a malformed payload is counted."""
        self.last_ms = now_ms
        self.bytes.add(now_ms, len(payload) + RTP_HEADER_BYTES)
        if not payload:
            return
        try:
            info = self._inspect(payload)
            if info.frame_start:
                self._on_frame(timestamp, now_ms)
            if info.keyframe:
                self._on_keyframe(timestamp, now_ms)
                if self._frame_size is not None:
                    self._on_size(self._frame_size(payload), now_ms)
            if self.h264 is not None:
                self.h264.on_payload(payload, timestamp, now_ms)
                if info.parameter_sets and self.h264.sps is not None:
                    self._on_size((self.h264.sps.width, self.h264.sps.height), now_ms)
        except CodecError:
            self.malformed.add(now_ms)

    def on_keyframe_requested(self, now_ms: float) -> None:
        """A PLI or FIR went out."""
        if self._asked_ms is None:
            self._asked_ms = now_ms

    def gap_ms(self, now_ms: float) -> float:
        """The longer of the last whole gap between key frames and the open one."""
        return max(self.keyframe_gap_ms, now_ms - (self.keyframe_ms or self.first_ms))

    def answers(self, now_ms: float) -> bool:
        """The encoder makes key frames when asked (so that long gaps cost only variety)."""
        if self._asked_ms is not None and now_ms - self._asked_ms > RESPONSIVE_MS:
            self.answers_requests = False
            self._asked_ms = None
        return self.answers_requests

    def goes_backward(self, share: float, now_ms: float) -> bool:
        """So many frames lie before an earlier one in time that it is reordering, not loss."""
        backward = self.backward.total(now_ms)
        return backward >= 5 and backward >= share * self.frames.total(now_ms)

    def _on_frame(self, timestamp: int, now_ms: float) -> None:
        if timestamp in self._recent:
            return
        self._recent.append(timestamp)
        self.frames.add(now_ms)
        if self._highest is not None and timestamp < self._highest:
            self.backward.add(now_ms)
        else:
            self._highest = timestamp

    def _on_keyframe(self, timestamp: int, now_ms: float) -> None:
        if self.keyframe_ms is not None:
            ticks = timestamp - self._keyframe_timestamp
            if ticks <= 0:
                return
            self.keyframe_gap_ms = ticks / CLOCK_KHZ
        self.keyframe_ms = now_ms
        self._keyframe_timestamp = timestamp
        if self._asked_ms is not None:
            self.answers_requests = now_ms - self._asked_ms <= RESPONSIVE_MS
            self._asked_ms = None

    def _on_size(self, size: Size | None, now_ms: float) -> None:
        if size is None or size == self.size:
            return
        if self.size is not None:
            self.previous_size, self.size_changed_ms = self.size, now_ms
        self.size = size
