"""Codec knowledge that forwarding needs: key frames, frame boundaries, parameter sets."""

from __future__ import annotations

from relay.core.codecs.av1 import inspect_av1
from relay.core.codecs.base import CodecError, Inspector, PayloadInfo
from relay.core.codecs.h264 import inspect_h264
from relay.core.codecs.opus import inspect_opus
from relay.core.codecs.red import inspect_red
from relay.core.codecs.vp8 import inspect_vp8
from relay.core.codecs.vp9 import inspect_vp9

__all__ = ["CodecError", "Inspector", "PayloadInfo", "inspector_for"]

_INSPECTORS: dict[str, Inspector] = {
    "H264": inspect_h264,
    "VP8": inspect_vp8,
    "VP9": inspect_vp9,
    "AV1": inspect_av1,
    "OPUS": inspect_opus,
    "RED": inspect_red,
}


def inspector_for(codec_name: str) -> Inspector:
    """The inspector of a codec, named as in CodecParameters.name (any case).

    Raises LookupError for a codec that is not forwarded.
    """
    inspector = _INSPECTORS.get(codec_name.upper())
    if inspector is None:
        raise LookupError(f"no inspector for codec {codec_name!r}")
    return inspector
