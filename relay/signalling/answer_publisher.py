"""The answer to a WHIP offer (RFC 9725): everything that the publisher sends, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_DEPENDENCY_DESCRIPTOR,
    EXT_MID,
    EXT_REPAIRED_RID,
    EXT_RID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    CodecParameters,
    MediaNegotiation,
    PublisherNegotiation,
)
from relay.signalling.answer import (
    OfferRefused,
    check_shape,
    dtls_role,
    frame_answer,
    section_lines,
    with_feedback,
)
from relay.signalling.offer import LocalTransport, MediaSection, Offer
from relay.transport.parameters import DtlsRole

VIDEO_PREFERENCE = ("H264", "VP8", "VP9", "AV1")
_EXTENSIONS = frozenset(
    {
        *(EXT_MID, EXT_RID, EXT_REPAIRED_RID, EXT_ABS_SEND_TIME, EXT_TRANSPORT_CC),
        *(EXT_AUDIO_LEVEL, EXT_VIDEO_ORIENTATION),
    }
)
_REPAIR_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir"})


@dataclass(frozen=True)
class PublisherPolicy:
    """max_video_bps: put into the answer as a limit (b=TIAS) when set."""

    max_video_bps: int | None = None


def answer_publisher(
    offer: Offer, local: LocalTransport, policy: PublisherPolicy
) -> tuple[str, PublisherNegotiation, DtlsRole]:
    """(answer, what was agreed, our DTLS role). Raises OfferRefused: no partial answers (P9)."""
    check_shape(offer)
    if offer.foreign:
        raise OfferRefused(
            f"only audio and video can be published, not a section of kind {offer.foreign[0]!r}"
        )
    sections: dict[int, list[str]] = {}
    negotiated: list[MediaNegotiation] = []
    for section in offer.media:
        if section.direction in ("recvonly", "inactive"):
            raise OfferRefused(
                f"a publisher must send: section {section.mid} is {section.direction}"
            )
        media = _negotiate(section, mixed_extensions=offer.mixed_extensions)
        negotiated.append(media)
        lines = section_lines(section, media, offer, local, "recvonly")
        if section.kind == "video" and policy.max_video_bps is not None:
            lines.insert(2, f"b=TIAS:{policy.max_video_bps}")
        if EXT_DEPENDENCY_DESCRIPTOR in media.extensions:
            lines.append("a=extmap-allow-mixed")
        if media.rids:
            lines += [f"a=rid:{rid} recv" for rid in media.rids]
            lines.append(f"a=simulcast:recv {';'.join(media.rids)}")
        sections[section.index] = lines
    answer = frame_answer(offer, local, sections, "")
    return answer, PublisherNegotiation(tuple(negotiated)), dtls_role(offer)


def _negotiate(section: MediaSection, *, mixed_extensions: bool) -> MediaNegotiation:
    codecs = _audio_codecs(section) if section.kind == "audio" else _video_codecs(section)
    if not codecs:
        names = ", ".join(dict.fromkeys(c.name for c in section.codecs)) or "none"
        wanted = "Opus" if section.kind == "audio" else "H264, VP8, VP9 or AV1"
        raise OfferRefused(f"no usable {section.kind} codec: offered {names}; needed {wanted}")
    extensions = {uri: n for uri, n in section.extensions.items() if uri in _EXTENSIONS}
    descriptor = section.extensions.get(EXT_DEPENDENCY_DESCRIPTOR)
    if descriptor is not None and mixed_extensions and _needs_descriptor(codecs):
        extensions[EXT_DEPENDENCY_DESCRIPTOR] = descriptor
    congestion = _congestion_feedback(codecs, extensions)
    if congestion != "transport-cc":
        extensions.pop(EXT_TRANSPORT_CC, None)
    allowed = _REPAIR_FEEDBACK | ({congestion} if congestion else frozenset())
    return MediaNegotiation(
        index=section.index,
        mid=section.mid,
        kind=section.kind,
        codecs=tuple(with_feedback(codec, allowed) for codec in codecs),
        extensions=extensions,
        ssrcs=section.ssrcs,
        rtx_ssrcs=dict(section.rtx_ssrcs),
        rids=section.rids if EXT_RID in extensions else (),
    )


def _needs_descriptor(codecs: list[CodecParameters]) -> bool:
    """Whether temporal layers are told by the dependency descriptor. VP8 tells its own, but leaves
    them and its picture ids out of the payload once there is a descriptor: viewers need them."""
    return codecs[0].name in ("H264", "AV1")


def _congestion_feedback(codecs: list[CodecParameters], extensions: dict[str, int]) -> str | None:
    """transport-cc when it is offered whole: libwebrtc's estimator grows fastest with it."""
    offered = frozenset[str]().union(*(codec.rtcp_feedback for codec in codecs))
    if "transport-cc" in offered and EXT_TRANSPORT_CC in extensions:
        return "transport-cc"
    return "goog-remb" if "goog-remb" in offered else None


def _audio_codecs(section: MediaSection) -> list[CodecParameters]:
    return [
        replace(codec, fmtp={**codec.fmtp, "useinbandfec": "1"})
        for codec in section.codecs
        if codec.name == "OPUS" and codec.clock_rate == 48_000
    ]


def _video_codecs(section: MediaSection) -> list[CodecParameters]:
    """In our preference; H.264 with packetization-mode=0 only where there is no mode 1."""
    codecs = [c for c in section.codecs if c.name in VIDEO_PREFERENCE and c.clock_rate == 90_000]
    fragmenting = [c for c in codecs if c.fmtp.get("packetization-mode") == "1"]
    if fragmenting:
        codecs = [c for c in codecs if c.name != "H264" or c in fragmenting]
    return sorted(codecs, key=lambda codec: VIDEO_PREFERENCE.index(codec.name))
