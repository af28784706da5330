"""Parameter sets put back in front of IDR pictures that come without them.

Some encoders send SPS and PPS once, at the start or only in the SDP; a viewer that joins later
could never decode. The sets seen last are repeated as one STAP-A (RFC 6184 section 5.7.1) in
front of each IDR picture that has none of its own under the same timestamp.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from relay.core.codecs.base import CodecError
from relay.core.codecs.h264 import (
    FU_A,
    NAL_IDR,
    NAL_PPS,
    NAL_SLICE,
    NAL_SPS,
    NalStart,
    nal_starts,
    parse_slice_header,
    stap_a,
)
from relay.core.codecs.h264_sets import Pps, parse_pps, parse_sprop_parameter_sets, parse_sps_id

MAX_SETS = 8
"""Sets kept of each kind; the one refreshed longest ago leaves first."""
MAX_INSERTED_BYTES = 1200
RECENT_TIMESTAMPS = 16
"""Frames among which late and repaired packets may still be sorted."""

_Kept = TypeVar("_Kept")

_INTERESTING = frozenset((NAL_IDR, NAL_SPS, NAL_PPS))


class _FrameSets:
    """What a frame has brought. done: has its sets, was repaired, or cannot be."""

    __slots__ = ("done", "pps", "sps")

    def __init__(self) -> None:
        self.sps = self.pps = self.done = False


class ParameterSetRepair:
    """Per source. inserted: STAP-As handed out so far.

    Its answer adds a packet to the stream: the caller shifts the sequence numbers that follow.
    """

    def __init__(self, sprop_parameter_sets: str = "") -> None:
        """Begin with the fmtp parameter of that name; one that is malformed counts as none."""
        self.inserted = 0
        self._sps: OrderedDict[int, bytes] = OrderedDict()
        self._pps: OrderedDict[int, tuple[Pps, bytes]] = OrderedDict()
        self._frames: OrderedDict[int, _FrameSets] = OrderedDict()
        try:
            for nal in parse_sprop_parameter_sets(sprop_parameter_sets):
                self._learn(nal)
        except CodecError:
            # Offers carry all sorts of things here; sets in the stream will do.
            self._sps.clear()
            self._pps.clear()

    @property
    def knows_sets(self) -> bool:
        """At least one SPS and one PPS are at hand."""
        return bool(self._sps) and bool(self._pps)

    def before(self, payload: bytes, timestamp: int) -> bytes | None:
        """Take the next payload; the STAP-A to send before it under its timestamp, or None.

        At most one answer per timestamp. Raises CodecError for a malformed payload.
        """
        first = payload[0] & 0x1F if payload else 0
        if (first in (1, FU_A)) and not (
            first == FU_A
            and len(payload) > 1
            and payload[1] & 0x80
            and payload[1] & 0x1F == NAL_IDR
        ):
            # Nearly every packet: nothing begins here, or no IDR picture does.
            if first == FU_A and len(payload) < 2:
                raise CodecError("FU-A without its header")
            return None
        starts = [nal for nal in nal_starts(payload) if nal.type in _INTERESTING]
        if not starts:
            return None
        frame = self._frame(timestamp)
        answer: bytes | None = None
        for nal in starts:
            if nal.type == NAL_IDR:
                answer = answer or self._before_idr(frame, payload, nal)
            elif nal.complete:
                self._learn(payload[nal.start - 1 : nal.end])
                frame.sps = frame.sps or nal.type == NAL_SPS
                frame.pps = frame.pps or nal.type == NAL_PPS
        return answer

    def _before_idr(self, frame: _FrameSets, payload: bytes, nal: NalStart) -> bytes | None:
        if frame.done:
            return None
        frame.done = True
        if (frame.sps and frame.pps) or nal.start >= nal.end:
            return None
        header = parse_slice_header(payload[nal.start : nal.end])
        if header.first_mb:
            # The picture's first slice is lost or late; the sets would not make it whole.
            frame.done = False
            return None
        sets = self._sets_for(header.pps_id)
        if sets is not None:
            self.inserted += 1
        return sets

    def _sets_for(self, pps_id: int) -> bytes | None:
        """STAP-A of the SPS and all its PPS, or only the one needed if they are too many."""
        wanted = self._pps.get(pps_id)
        sps = self._sps.get(wanted[0].sps_id) if wanted else None
        if wanted is None or sps is None:
            return None
        siblings = [nal for pps, nal in self._pps.values() if pps.sps_id == wanted[0].sps_id]
        for nals in ([sps, *siblings], [sps, wanted[1]]):
            payload = stap_a(nals)
            if len(payload) <= MAX_INSERTED_BYTES:
                return payload
        return None

    def _learn(self, nal: bytes) -> None:
        kind = nal[0] & 0x1F
        if kind == NAL_SPS:
            _keep(self._sps, parse_sps_id(nal), nal)
        elif kind == NAL_PPS:
            pps = parse_pps(nal)
            _keep(self._pps, pps.pps_id, (pps, nal))

    def _frame(self, timestamp: int) -> _FrameSets:
        frame = self._frames.get(timestamp)
        if frame is None:
            frame = self._frames[timestamp] = _FrameSets()
            if len(self._frames) > RECENT_TIMESTAMPS:
                self._frames.popitem(last=False)
        return frame


def _is_plain(payload: bytes) -> bool:
    """Nearly every packet: a predicted slice, or a fragment that begins nothing of interest."""
    kind = payload[0] & 0x1F
    if kind == FU_A and len(payload) > 1:
        return not payload[1] & 0x80 or payload[1] & 0x1F not in _INTERESTING
    return kind == NAL_SLICE


def _keep(sets: OrderedDict[int, _Kept], number: int, value: _Kept) -> None:
    sets[number] = value
    sets.move_to_end(number)
    if len(sets) > MAX_SETS:
        sets.popitem(last=False)
