"""What our clients offer: the codecs that the hub forwards, and the extensions that it reads."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_REPAIRED_RID,
    EXT_RID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    CodecParameters,
    Kind,
)
from relay.signalling.client_offer import OfferedLayer, OfferedMedia

VideoCodec = Literal["h264", "vp8"]
Ssrcs = Mapping[Kind, tuple[int, int | None]]
"""Kind → (media SSRC, RTX SSRC or None)."""

_VIDEO_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"})
_OPUS = CodecParameters(
    111,
    "OPUS",
    48_000,
    2,
    {"minptime": "10", "useinbandfec": "1"},
    frozenset({"nack", "transport-cc"}),
)
_AUDIO_EXTENSIONS = (EXT_MID, EXT_ABS_SEND_TIME, EXT_AUDIO_LEVEL)
_VIDEO_EXTENSIONS = (EXT_MID, EXT_ABS_SEND_TIME, EXT_TRANSPORT_CC, EXT_VIDEO_ORIENTATION)


def _video(payload_type: int, name: str, fmtp: Mapping[str, str] | None = None) -> CodecParameters:
    return CodecParameters(
        payload_type,
        name,
        90_000,
        fmtp=fmtp or {},
        rtcp_feedback=_VIDEO_FEEDBACK,
        rtx_payload_type=payload_type + 1,
    )


def _h264(payload_type: int, profile: str) -> CodecParameters:
    return _video(
        payload_type,
        "H264",
        {
            "level-asymmetry-allowed": "1",
            "packetization-mode": "1",
            "profile-level-id": profile,
        },
    )


# A viewer takes what is there; constrained baseline first, as it is what the hub's source sends.
_VIEWER_VIDEO = (
    _h264(102, "42e01f"),
    _h264(104, "4d001f"),
    _h264(106, "64001f"),
    _video(96, "VP8"),
    _video(98, "VP9", {"profile-id": "0"}),
    _video(100, "AV1"),
)


RELAY_RIDS = ("h", "m", "l")
"""What a relay calls the layers that it pulls, richest first."""


def viewer_media(*, all_layers: bool = False) -> tuple[OfferedMedia, ...]:
    """Sections of a WHEP offer. all_layers: a relay's, which takes every layer (RFC 8853)."""
    return (
        OfferedMedia("audio", "recvonly", (_OPUS,), _AUDIO_EXTENSIONS),
        # A viewer of ours sends no transport-wide feedback.
        OfferedMedia(
            "video",
            "recvonly",
            _VIEWER_VIDEO,
            tuple(e for e in _VIDEO_EXTENSIONS if e != EXT_TRANSPORT_CC),
            wanted_rids=RELAY_RIDS if all_layers else (),
        ),
    )


def publisher_media(
    video: VideoCodec | None, audio: bool, rids: Sequence[str] = ()
) -> tuple[tuple[OfferedMedia, ...], Ssrcs]:
    """Sections of a WHIP offer, and the SSRCs in them (of video: the richest layer's). rids: of
    layers, richest first, where there are several."""
    media: list[OfferedMedia] = []
    ssrcs: dict[Kind, tuple[int, int | None]] = {}
    if audio:
        ssrcs["audio"] = (_new_ssrc(), None)
        media.append(
            OfferedMedia("audio", "sendonly", (_OPUS,), _AUDIO_EXTENSIONS, ssrcs["audio"][0])
        )
    if video is not None:
        codec = _h264(102, "42e01f") if video == "h264" else _video(96, "VP8")
        ssrcs["video"] = (_new_ssrc(), _new_ssrc())
        media.append(_layered(codec, rids, ssrcs) if len(rids) > 1 else _single(codec, ssrcs))
    return tuple(media), ssrcs


def _single(codec: CodecParameters, ssrcs: Ssrcs) -> OfferedMedia:
    return OfferedMedia("video", "sendonly", (codec,), _VIDEO_EXTENSIONS, *ssrcs["video"])


def _layered(codec: CodecParameters, rids: Sequence[str], ssrcs: Ssrcs) -> OfferedMedia:
    first, repair = ssrcs["video"]
    more = [OfferedLayer(rid, _new_ssrc(), _new_ssrc()) for rid in rids[1:]]
    layers = (OfferedLayer(rids[0], first, repair or _new_ssrc()), *more)
    extensions = (*_VIDEO_EXTENSIONS, EXT_RID, EXT_REPAIRED_RID)
    return OfferedMedia("video", "sendonly", (codec,), extensions, layers=layers)


def _new_ssrc() -> int:
    return secrets.randbelow(0xFFFFFFFE) + 1
