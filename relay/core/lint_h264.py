"""What only H.264 can get wrong: B-frames, profile, parameter sets, fragmentation."""

from __future__ import annotations

from collections import OrderedDict

from relay.core.codecs.base import CodecError
from relay.core.codecs.h264 import (
    FU_A,
    NAL_IDR,
    NAL_PARTITION_A,
    NAL_PPS,
    NAL_SLICE,
    NAL_SPS,
    SLICE_B,
    STAP_A,
    NalStart,
    nal_starts,
    parse_slice_header,
)
from relay.core.codecs.h264_sets import Sps, parse_sprop_parameter_sets, parse_sps
from relay.core.lint_window import SlidingSum

RECENT_FRAMES = 32
SETTLE_MS = 200.0
"""Time for parameter sets that were lost or reordered to come after their IDR picture."""
REPAIR_MEMORY_MS = 15_000.0

_SLICES = frozenset((NAL_SLICE, NAL_PARTITION_A, NAL_IDR))
_HAS_SPS, _HAS_PPS, _HAS_IDR = 1, 2, 4
_HAS_SETS = _HAS_SPS | _HAS_PPS


class H264Watch:
    """One H.264 source. sps: newest set that parses. fragments: FU-A or STAP-A was seen."""

    def __init__(self, window_ms: float) -> None:
        self.sps: Sps | None = None
        self.fragments = False
        self.repaired_ms: float | None = None
        self.slices = SlidingSum(window_ms)
        self.b_slices = SlidingSum(window_ms)
        self._sps_bytes = b""
        self._frames: OrderedDict[int, int] = OrderedDict()
        self._idr: tuple[int, float] | None = None
        self._known = 0

    def learn_sprop(self, sprop_parameter_sets: str) -> None:
        """Note sets that the offer brought; what does not parse is as good as absent."""
        try:
            for nal in parse_sprop_parameter_sets(sprop_parameter_sets):
                self._known |= {NAL_SPS: _HAS_SPS, NAL_PPS: _HAS_PPS}.get(nal[0] & 0x1F, 0)
        except CodecError:
            self._known = 0

    def on_payload(self, payload: bytes, timestamp: int, now_ms: float) -> None:
        """Take one payload. Raises CodecError."""
        kind = payload[0] & 0x1F if payload else 0
        if kind in (FU_A, STAP_A):
            self.fragments = True
            if kind == FU_A and len(payload) > 1 and not payload[1] & 0x80:
                return
        for nal in nal_starts(payload):
            if nal.type in _SLICES:
                self._on_slice(payload, nal, timestamp, now_ms)
            elif nal.type == NAL_SPS:
                self._mark(timestamp, _HAS_SPS)
                if nal.complete:
                    self._on_sps(payload[nal.start - 1 : nal.end])
            elif nal.type == NAL_PPS:
                self._mark(timestamp, _HAS_PPS)

    def b_share(self, now_ms: float) -> float:
        """Share of B among the slices of the window, 0 … 1."""
        b_slices = self.b_slices.total(now_ms)
        return b_slices / self.slices.total(now_ms) if b_slices else 0.0

    def lacks_sets(self, now_ms: float) -> bool:
        """The newest IDR picture came without an SPS or a PPS under its timestamp."""
        if self._idr is None or now_ms - self._idr[1] < SETTLE_MS:
            return False
        return self._frames.get(self._idr[0], _HAS_SETS) & _HAS_SETS != _HAS_SETS

    def repaired(self, now_ms: float) -> bool:
        """Sets were put in for this source not long ago."""
        return self.repaired_ms is not None and now_ms - self.repaired_ms < REPAIR_MEMORY_MS

    @property
    def knows_sets(self) -> bool:
        """An SPS and a PPS have been seen at some time."""
        return self._known == _HAS_SETS

    def _on_slice(self, payload: bytes, nal: NalStart, timestamp: int, now_ms: float) -> None:
        if nal.start >= nal.end:
            return
        header = parse_slice_header(payload[nal.start : nal.end])
        self.slices.add(now_ms)
        if header.slice_type == SLICE_B:
            self.b_slices.add(now_ms)
        if nal.type == NAL_IDR and not header.first_mb:
            if not self._frames.get(timestamp, 0) & _HAS_IDR:
                self._idr = (timestamp, now_ms)
            self._mark(timestamp, _HAS_IDR)

    def _on_sps(self, nal: bytes) -> None:
        if nal != self._sps_bytes:
            self.sps = parse_sps(nal)
            self._sps_bytes = nal

    def _mark(self, timestamp: int, what: int) -> None:
        self._known |= what & _HAS_SETS
        marks = self._frames.get(timestamp)
        if marks is None:
            if len(self._frames) >= RECENT_FRAMES:
                self._frames.popitem(last=False)
            marks = 0
        self._frames[timestamp] = marks | what
