"""H.264 in RTP (RFC 6184), non-interleaved: single NAL units, STAP-A, FU-A.

A frame may be spread over packets in many ways: [SPS][PPS][IDR…], [STAP-A SPS+PPS][FU-A…],
[STAP-A SPS+PPS+IDR], or slices of one picture in packets of their own. `inspect_h264` tells from
one payload whether a picture begins there: a slice begins a picture when its first_mb_in_slice is
0, which Exp-Golomb writes as a leading 1 bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from relay.core.codecs.base import CONTINUATION, CodecError, PayloadInfo, shared_info
from relay.core.codecs.bits import BitReader

NAL_SLICE, NAL_PARTITION_A, NAL_IDR = 1, 2, 5
NAL_SEI, NAL_SPS, NAL_PPS, NAL_AUD = 6, 7, 8, 9
NAL_PREFIX = 14
STAP_A, FU_A = 24, 28

SLICE_P, SLICE_B, SLICE_I, SLICE_SP, SLICE_SI = range(5)

_FIRST_AGGREGATE = 24
_FU_START = 0x80
_TYPE_MASK = 0x1F
_REF_MASK = 0x60
_SLICES = frozenset((NAL_SLICE, NAL_PARTITION_A, NAL_IDR))
_BEFORE_SLICES = frozenset((NAL_SEI, NAL_SPS, NAL_PPS, NAL_AUD, 13, NAL_PREFIX, 15))
"""NAL units that precede a picture's first slice (H.264 section 7.4.1.2.3)."""
_SLICE_HEADER_BYTES = 16
_MAX_SLICE_TYPE = 9
_MAX_PPS_ID = 255

_DISCARDABLE_CONTINUATION = PayloadInfo(discardable=True)


class NalStart(NamedTuple):
    """A NAL unit that begins in a payload.

    header: its first byte (rebuilt for FU-A). start, end: its bytes after the header in the
    payload. complete: False for the first fragment of a FU-A.
    """

    header: int
    start: int
    end: int
    complete: bool

    @property
    def type(self) -> int:
        """nal_unit_type, H.264 table 7-1."""
        return self.header & _TYPE_MASK


def nal_starts(payload: bytes) -> list[NalStart]:
    """NAL units that begin in this payload; empty for a later fragment of a FU-A.

    Raises CodecError for a malformed or interleaved (RFC 6184 section 5.2) payload.
    """
    size = len(payload)
    if not size:
        raise CodecError("empty payload")
    header = payload[0]
    kind = header & _TYPE_MASK
    if kind == FU_A:
        if size < 2:
            raise CodecError("FU-A without its header")
        fragment = payload[1]
        if not fragment & _FU_START:
            return []
        return [NalStart(header & 0xE0 | fragment & _TYPE_MASK, 2, size, False)]
    if kind == STAP_A:
        return _aggregated(payload, size)
    if kind == 0 or kind >= _FIRST_AGGREGATE:
        raise CodecError(f"NAL unit type {kind} has no place in non-interleaved mode")
    return [NalStart(header, 1, size, True)]


def _aggregated(payload: bytes, size: int) -> list[NalStart]:
    """Units of a STAP-A (RFC 6184 section 5.7.1)."""
    units: list[NalStart] = []
    offset = 1
    while offset < size:
        start = offset + 2
        if start >= size:
            raise CodecError("STAP-A ends in a length")
        end = start + (payload[offset] << 8 | payload[offset + 1])
        if end == start or end > size:
            raise CodecError("STAP-A unit is empty or runs past its payload")
        units.append(NalStart(payload[start], start + 1, end, True))
        offset = end
    if not units:
        raise CodecError("STAP-A without units")
    return units


def inspect_h264(payload: bytes) -> PayloadInfo:
    """Inspect one payload; a packet with an SPS, or else the first IDR slice, is `keyframe`.

    An SPS together with a predicted slice is no start: some encoders repeat it between key
    frames. Raises CodecError.
    """
    if len(payload) > 1 and payload[0] & _TYPE_MASK == FU_A and not payload[1] & _FU_START:
        # The commonest packet of all.
        return CONTINUATION if payload[0] & _REF_MASK else _DISCARDABLE_CONTINUATION
    sps = sets = slices = first = idr = leading = referenced = False
    temporal_id = 0
    predicted = False
    for header, start, end, _ in nal_starts(payload):
        kind = header & _TYPE_MASK
        if kind in _SLICES:
            slices = True
            referenced = referenced or header & _REF_MASK != 0
            idr = idr or kind == NAL_IDR
            lead = payload[start] if start < end else 0x80
            first = first or lead >= 0x80
            predicted = predicted or (lead >= 0x80 and not _INTRA_BY_LEAD[lead])
        elif kind in _BEFORE_SLICES:
            leading = True
            sps = sps or kind == NAL_SPS
            sets = sets or kind in (NAL_SPS, NAL_PPS)
            if kind == NAL_PREFIX and end - start >= 3:
                temporal_id = payload[start + 2] >> 5
    keyframe = (idr and first) or (sps and (idr or not predicted))
    return shared_info(
        keyframe,
        keyframe or first or (leading and not slices),
        sets,
        sets and not slices,
        slices and not referenced,
        temporal_id,
    )


@dataclass(slots=True, frozen=True)
class SliceHeader:
    """Start of a slice header (H.264 section 7.3.3). slice_type: 0 … 4, see SLICE_P and so on."""

    first_mb: int
    slice_type: int
    pps_id: int


def parse_slice_header(body: bytes) -> SliceHeader:
    """Read a slice NAL unit's bytes after its header byte; a fragment is enough.

    Raises CodecError.
    """
    reader = BitReader(unescape(body[:_SLICE_HEADER_BYTES]))
    first_mb = reader.exp_golomb()
    slice_type = reader.exp_golomb()
    if slice_type > _MAX_SLICE_TYPE:
        raise CodecError(f"slice type {slice_type}")
    pps_id = reader.exp_golomb()
    if pps_id > _MAX_PPS_ID:
        raise CodecError(f"picture parameter set {pps_id}")
    return SliceHeader(first_mb, slice_type % 5, pps_id)


def slice_types(payload: bytes) -> tuple[int, ...]:
    """Types (0 … 4) of the slices that begin in this payload. Raises CodecError."""
    return tuple(
        parse_slice_header(payload[nal.start : nal.end]).slice_type
        for nal in nal_starts(payload)
        if nal.type in _SLICES and nal.start < nal.end
    )


def unescape(nal: bytes) -> bytes:
    """Without emulation prevention bytes (H.264 section 7.4.1.1)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00") if b"\x00\x00\x03" in nal else nal


def stap_a(nals: list[bytes]) -> bytes:
    """One STAP-A payload of whole NAL units (RFC 6184 section 5.7.1).

    Its NRI is the highest of theirs. Raises ValueError when there is none.
    """
    if not nals:
        raise ValueError("nothing to aggregate")
    reference = max(nal[0] & _REF_MASK for nal in nals)
    units = b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)
    return bytes((reference | STAP_A,)) + units


def _is_intra_lead(lead: int) -> bool:
    """A picture's first slice that is I or SI: first_mb and slice type lie in its first byte."""
    if lead <= 0x80:
        return False
    reader = BitReader(bytes((lead, 0)))
    reader.skip(1)
    return reader.exp_golomb() % 5 in (SLICE_I, SLICE_SI)


_INTRA_BY_LEAD = tuple(_is_intra_lead(lead) for lead in range(256))
