"""H.264 parameter sets: what a sequence is (size, profile, reordering) and which set needs which.

Syntax: H.264 sections 7.3.2.1, 7.3.2.2, E.1.1 and E.1.2.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from relay.core.codecs.base import CodecError
from relay.core.codecs.bits import BitReader
from relay.core.codecs.h264 import NAL_PPS, NAL_SPS, unescape

PROFILE_BASELINE, PROFILE_MAIN, PROFILE_EXTENDED, PROFILE_HIGH = 66, 77, 88, 100
PROFILE_HIGH_10, PROFILE_HIGH_422, PROFILE_HIGH_444 = 110, 122, 244
CHROMA_420 = 1

_PROFILE_NAMES = {
    PROFILE_BASELINE: "Baseline",
    PROFILE_MAIN: "Main",
    PROFILE_EXTENDED: "Extended",
    PROFILE_HIGH: "High",
    PROFILE_HIGH_10: "High 10",
    PROFILE_HIGH_422: "High 4:2:2",
    PROFILE_HIGH_444: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
}
_WITH_CHROMA_FORMAT = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_EXTENDED_SAR = 255
_MAX_MACROBLOCKS_A_SIDE = 1055
"""Table A-1: sqrt(8 · MaxFS) at level 6.2."""
_MAX_SPS_ID, _MAX_PPS_ID = 31, 255
_MAX_CPB_COUNT = 32
_MAX_LOG2 = 12


@dataclass(slots=True, frozen=True)
class Sps:
    """Sequence parameter set. width, height: after cropping, in luma samples.

    constraint_flags: the byte between profile and level. chroma_format: 1 is 4:2:0.
    max_reorder_frames: pictures that may precede a picture in decoding and follow it in output;
    None when the set does not say.
    """

    sps_id: int
    profile_idc: int
    constraint_flags: int
    level_idc: int
    chroma_format: int
    bit_depth: int
    pic_order_cnt_type: int
    max_ref_frames: int
    progressive: bool
    width: int
    height: int
    max_reorder_frames: int | None

    @property
    def profile_name(self) -> str:
        """Name as encoders show it."""
        if self.profile_idc == PROFILE_BASELINE and self.constraint_flags & 0x40:
            return "Constrained Baseline"
        return _PROFILE_NAMES.get(self.profile_idc, f"profile {self.profile_idc}")

    @property
    def may_reorder(self) -> bool:
        """A decoder must expect B-frames, and may hold pictures back for them."""
        if self.profile_idc == PROFILE_BASELINE or self.pic_order_cnt_type == 2:
            return False
        return self.max_reorder_frames is None or self.max_reorder_frames > 0


@dataclass(slots=True, frozen=True)
class Pps:
    """Picture parameter set: its number and its sequence's."""

    pps_id: int
    sps_id: int


def parse_sps(nal: bytes) -> Sps:
    """Parse a whole SPS NAL unit, header byte included. Raises CodecError."""
    if len(nal) < 4 or nal[0] & 0x1F != NAL_SPS:
        raise CodecError("not a sequence parameter set")
    reader = BitReader(unescape(nal[1:]))
    profile, constraints, level = reader.bits(8), reader.bits(8), reader.bits(8)
    sps_id = _bounded(reader.exp_golomb(), _MAX_SPS_ID, "sequence parameter set id")
    chroma, planes, depth = CHROMA_420, False, 8
    if profile in _WITH_CHROMA_FORMAT:
        chroma, planes, depth = _chroma_format(reader)
    _bounded(reader.exp_golomb(), _MAX_LOG2, "log2_max_frame_num")
    order_type = _picture_order(reader)
    references = reader.exp_golomb()
    reader.skip(1)
    columns = _bounded(reader.exp_golomb() + 1, _MAX_MACROBLOCKS_A_SIDE, "width")
    rows = _bounded(reader.exp_golomb() + 1, _MAX_MACROBLOCKS_A_SIDE, "height")
    progressive = reader.flag()
    if not progressive:
        reader.skip(1)
    reader.skip(1)
    width, height = 16 * columns, 16 * rows * (1 if progressive else 2)
    if reader.flag():
        across, down = _crop(reader, 0 if planes else chroma, progressive)
        width, height = width - across, height - down
    if width <= 0 or height <= 0:
        raise CodecError("everything is cropped away")
    reorder = _reorder_of_vui(reader) if reader.flag() else None
    return Sps(
        sps_id,
        profile,
        constraints,
        level,
        chroma,
        depth,
        order_type,
        references,
        progressive,
        width,
        height,
        reorder,
    )


def parse_sps_id(nal: bytes) -> int:
    """Only the number of an SPS NAL unit, however odd the rest. Raises CodecError."""
    if len(nal) < 4 or nal[0] & 0x1F != NAL_SPS:
        raise CodecError("not a sequence parameter set")
    reader = BitReader(unescape(nal[4:16]))
    return _bounded(reader.exp_golomb(), _MAX_SPS_ID, "sequence parameter set id")


def parse_pps(nal: bytes) -> Pps:
    """Parse the numbers of a whole PPS NAL unit, header byte included. Raises CodecError."""
    if not nal or nal[0] & 0x1F != NAL_PPS:
        raise CodecError("not a picture parameter set")
    reader = BitReader(unescape(nal[1:16]))
    pps_id = _bounded(reader.exp_golomb(), _MAX_PPS_ID, "picture parameter set id")
    return Pps(pps_id, _bounded(reader.exp_golomb(), _MAX_SPS_ID, "sequence parameter set id"))


def parse_sprop_parameter_sets(value: str) -> list[bytes]:
    """NAL units of `sprop-parameter-sets` (RFC 6184 section 8.1). Raises CodecError."""
    try:
        units = [base64.b64decode(part, validate=True) for part in value.split(",") if part]
    except (binascii.Error, ValueError) as error:
        raise CodecError("sprop-parameter-sets is not base64") from error
    if not all(units):
        raise CodecError("sprop-parameter-sets has an empty unit")
    return units


def _bounded(value: int, most: int, name: str) -> int:
    if value > most:
        raise CodecError(f"{name} {value} is above {most}")
    return value


def _chroma_format(reader: BitReader) -> tuple[int, bool, int]:
    """(chroma_format_idc, separate planes, bit depth of luma or chroma, whichever is more)."""
    chroma = _bounded(reader.exp_golomb(), 3, "chroma format")
    planes = chroma == 3 and reader.flag()
    depth = 8 + _bounded(max(reader.exp_golomb(), reader.exp_golomb()), 6, "bit depth")
    reader.skip(1)
    if reader.flag():
        for index in range(12 if chroma == 3 else 8):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma, planes, depth


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    """Section 7.3.2.1.1.1."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed_exp_golomb()) % 256
        last = following or last


def _picture_order(reader: BitReader) -> int:
    """pic_order_cnt_type; its other fields are left out."""
    order_type = _bounded(reader.exp_golomb(), 2, "picture order type")
    if order_type == 0:
        _bounded(reader.exp_golomb(), _MAX_LOG2, "log2_max_pic_order_cnt_lsb")
    elif order_type == 1:
        reader.skip(1)
        reader.signed_exp_golomb()
        reader.signed_exp_golomb()
        for _ in range(_bounded(reader.exp_golomb(), 255, "picture order cycle")):
            reader.signed_exp_golomb()
    return order_type


def _crop(reader: BitReader, chroma: int, progressive: bool) -> tuple[int, int]:
    """Luma samples cropped (across, down), equations 7-19 to 7-22."""
    left, right = reader.exp_golomb(), reader.exp_golomb()
    top, bottom = reader.exp_golomb(), reader.exp_golomb()
    unit_x = 2 if chroma in (1, 2) else 1
    unit_y = (2 if chroma == 1 else 1) * (1 if progressive else 2)
    return (left + right) * unit_x, (top + bottom) * unit_y


def _reorder_of_vui(reader: BitReader) -> int | None:
    """max_num_reorder_frames of the VUI (section E.1.1), None without bitstream restriction."""
    if reader.flag() and reader.bits(8) == _EXTENDED_SAR:
        reader.skip(32)
    if reader.flag():
        reader.skip(1)
    if reader.flag():
        reader.skip(4)
        if reader.flag():
            reader.skip(24)
    if reader.flag():
        reader.exp_golomb()
        reader.exp_golomb()
    if reader.flag():
        reader.skip(65)
    rated = False
    for _ in ("nal", "vcl"):
        if reader.flag():
            _skip_hrd(reader)
            rated = True
    if rated:
        reader.skip(1)
    reader.skip(1)
    if not reader.flag():
        return None
    reader.skip(1)
    for _ in range(4):
        reader.exp_golomb()
    return _bounded(reader.exp_golomb(), 16, "max_num_reorder_frames")


def _skip_hrd(reader: BitReader) -> None:
    """Section E.1.2."""
    count = _bounded(reader.exp_golomb() + 1, _MAX_CPB_COUNT, "cpb count")
    reader.skip(8)
    for _ in range(count):
        reader.exp_golomb()
        reader.exp_golomb()
        reader.skip(1)
    reader.skip(20)
