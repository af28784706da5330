"""What a payload tells about itself, without taking a frame apart.

Inspection is stateless: it sees one RTP payload and says what that alone proves. `PayloadInfo`
values are shared (a payload has few possible answers), so nothing is allocated per packet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache


class CodecError(ValueError):
    """The peer sent a payload that its format does not allow, or that ends too soon."""


@dataclass(slots=True, frozen=True)
class PayloadInfo:
    """What one RTP payload tells.

    keyframe: a decoder may start at this packet. H.264 may say so twice in one frame (at the SPS
        and at the IDR slice, when they come in packets of their own): the first packet of a
        timestamp that says so is the start.
    frame_start: begins a frame, or precedes its first slice. H.264 may say so several times in
        one frame (parameter sets, SEI, first slice): again the first of a timestamp counts.
    parameter_sets: carries an H.264 SPS or PPS, or an AV1 sequence header.
    parameter_sets_only: and no coded picture.
    discardable: belongs to a frame that no other frame refers to.
    temporal_id, spatial_id: layer, 0 where the payload does not tell.
    layer_sync: a receiver may switch up to this temporal layer here.
    """

    keyframe: bool = False
    frame_start: bool = False
    parameter_sets: bool = False
    parameter_sets_only: bool = False
    discardable: bool = False
    temporal_id: int = 0
    spatial_id: int = 0
    layer_sync: bool = False


Inspector = Callable[[bytes], PayloadInfo]
"""Looks at one payload. Raises CodecError and nothing else."""

_POSSIBLE_INFOS = 4096

shared_info = lru_cache(maxsize=_POSSIBLE_INFOS)(PayloadInfo)
"""PayloadInfo(...) by positional arguments, the same object for the same values."""

CONTINUATION = PayloadInfo()
"""A packet in the middle of a frame."""

AUDIO_FRAME = PayloadInfo(frame_start=True)
"""Any packet of an audio codec."""
