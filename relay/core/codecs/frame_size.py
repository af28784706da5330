"""Picture size of a key frame, whatever the codec."""

from __future__ import annotations

from relay.core.codecs.av1 import av1_frame_size
from relay.core.codecs.base import CodecError
from relay.core.codecs.h264_sets import parse_sps
from relay.core.codecs.vp8 import vp8_frame_size
from relay.core.codecs.vp9 import vp9_frame_size

_SPS = 7
_STAP_A = 24


def frame_size(codec_name: str, payload: bytes) -> tuple[int, int] | None:
    """(width, height) in pixels that the payload at which a key frame begins tells, or None.

    codec_name: upper case. Never raises for what a peer sent.
    """
    try:
        match codec_name:
            case "H264":
                return _h264_frame_size(payload)
            case "VP8":
                return vp8_frame_size(payload)
            case "VP9":
                return vp9_frame_size(payload)
            case "AV1":
                return av1_frame_size(payload)
    except (CodecError, ValueError, IndexError):
        return None
    return None


def _h264_frame_size(payload: bytes) -> tuple[int, int] | None:
    if not payload:
        return None
    first = payload[0] & 0x1F
    nal = payload if first == _SPS else _aggregated_sps(payload) if first == _STAP_A else None
    if nal is None:
        return None
    sps = parse_sps(nal)
    return sps.width, sps.height


def _aggregated_sps(payload: bytes) -> bytes | None:
    """The first SPS of a STAP-A (RFC 6184 section 5.7.1)."""
    at = 1
    while at + 3 <= len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        nal = payload[at + 2 : at + 2 + size]
        if nal and nal[0] & 0x1F == _SPS:
            return nal
        at += 2 + size
    return None
