"""What an offer and its answer settled, as the media plane needs it (RFC 8829, RFC 8843)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["audio", "video"]

EXT_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
EXT_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
EXT_REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
EXT_ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
EXT_TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
EXT_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
EXT_VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
EXT_DEPENDENCY_DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)


@dataclass(frozen=True)
class CodecParameters:
    """One negotiated codec.

    name: upper case: OPUS, RED, H264, VP8, VP9, AV1.
    fmtp: format parameters, keys in lower case.
    rtcp_feedback: values such as "nack", "nack pli", "ccm fir", "goog-remb", "transport-cc".
    rtx_payload_type: payload type of its RFC 4588 repair stream, or None.
    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: Mapping[str, str] = field(default_factory=dict)
    rtcp_feedback: frozenset[str] = frozenset()
    rtx_payload_type: int | None = None


@dataclass(frozen=True)
class MediaNegotiation:
    """One m-section after offer and answer.

    index: position of the m-line. codecs: preferred first. extensions: header extension URI to
    id (RFC 8285). ssrcs, rtx_ssrcs: the sender's SSRCs where signalled (for a viewer: ours).
    rids: simulcast layers in the offer's order (RFC 8853), empty without simulcast.
    """

    index: int
    mid: str
    kind: Kind
    codecs: tuple[CodecParameters, ...]
    extensions: Mapping[str, int] = field(default_factory=dict)
    ssrcs: tuple[int, ...] = ()
    rtx_ssrcs: Mapping[int, int] = field(default_factory=dict)
    rids: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublisherNegotiation:
    """A publisher's accepted sections."""

    media: tuple[MediaNegotiation, ...]


@dataclass(frozen=True)
class ViewerNegotiation:
    """A viewer's accepted sections; `ssrcs` hold our media SSRC, `rtx_ssrcs` its repair SSRC."""

    media: tuple[MediaNegotiation, ...]
