"""The answer to a WHEP offer: all codecs that we could ever forward, the one on the air first.

A publisher that returns with another codec then needs no new negotiation: only the payload type
changes. A kind that the stream does not have yet is answered too, so that it can begin later.
Sections that are neither audio nor video (some players offer a data channel) get port 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay.core.lanes import match_codec
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    CodecParameters,
    MediaNegotiation,
    ViewerNegotiation,
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

STREAM_ID = "wardcast"
_CLOCK_RATES = (48_000, 90_000)
_FORWARDED = {"audio": ("OPUS",), "video": ("H264", "VP8", "VP9", "AV1")}
_BESIDE = {"audio": ("RED",), "video": ()}
"""What a codec may be wrapped in; nothing alone."""
_EXTENSIONS = frozenset(
    {EXT_MID, EXT_ABS_SEND_TIME, EXT_AUDIO_LEVEL, EXT_VIDEO_ORIENTATION, EXT_TRANSPORT_CC}
)
# We write one-byte extension headers (RFC 8285 section 4.2): higher ids would never be sent.
_MAX_EXTENSION_ID = 14
_REPAIR_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir"})


def answer_viewer(
    offer: Offer,
    local: LocalTransport,
    on_air: Sequence[CodecParameters],
    allocate_ssrc: Callable[[], int],
    *,
    all_layers: bool = False,
) -> tuple[str, ViewerNegotiation, DtlsRole]:
    """(answer, what was agreed, our DTLS role). on_air: the stream's codecs now. all_layers: give
    as many layers as the viewer (a relay) asks for (RFC 8853), richest first.

    Raises OfferRefused when a kind on the air was offered without a codec to carry it.
    """
    check_shape(offer)
    taken = {s for m in offer.media for s in m.ssrcs}
    congestion = _congestion_feedback(offer)
    sections: dict[int, list[str]] = {}
    negotiated: list[MediaNegotiation] = []
    for section in offer.media:
        if section.direction in ("sendonly", "inactive"):
            raise OfferRefused(
                f"a viewer must receive: section {section.mid} is {section.direction}"
            )
        rids = section.wanted_rids if all_layers and section.kind == "video" else ()
        media = _negotiate(section, on_air, congestion, allocate_ssrc, taken, rids)
        negotiated.append(media)
        sections[section.index] = [
            *section_lines(section, media, offer, local, "sendonly"),
            *_ssrc_lines(media),
        ]
    answer = frame_answer(offer, local, sections, STREAM_ID)
    return answer, ViewerNegotiation(tuple(negotiated)), dtls_role(offer)


def _negotiate(
    section: MediaSection,
    on_air: Sequence[CodecParameters],
    congestion: frozenset[str],
    allocate_ssrc: Callable[[], int],
    taken: set[int],
    rids: tuple[str, ...],
) -> MediaNegotiation:
    forwarded = _FORWARDED[section.kind]
    usable = tuple(
        c for c in section.codecs if c.name in forwarded and c.clock_rate in _CLOCK_RATES
    )
    current = next((c for c in on_air if c.name in forwarded), None)
    first = match_codec(current, usable) if current is not None else None
    if not usable or (current is not None and first is None):
        needed = current.name if current is not None else " or ".join(forwarded)
        raise OfferRefused(f"the {section.kind} on the air is {needed}, which was not offered")
    if first is not None:
        usable = (first, *(c for c in usable if c is not first))
    usable += tuple(c for c in section.codecs if c.name in _BESIDE[section.kind])
    extensions = _writable(section)
    if "transport-cc" not in congestion:
        extensions.pop(EXT_TRANSPORT_CC, None)
    ssrcs = tuple(_fresh(allocate_ssrc, taken) for _ in range(max(1, len(rids))))
    has_rtx = any(c.rtx_payload_type is not None for c in usable)
    allowed = _REPAIR_FEEDBACK | congestion
    return MediaNegotiation(
        index=section.index,
        mid=section.mid,
        kind=section.kind,
        codecs=tuple(with_feedback(codec, allowed) for codec in usable),
        extensions=extensions,
        ssrcs=ssrcs,
        rtx_ssrcs={ssrc: _fresh(allocate_ssrc, taken) for ssrc in ssrcs} if has_rtx else {},
        rids=rids,
    )


def _congestion_feedback(offer: Offer) -> frozenset[str]:
    """Both where the viewer has both: REMB costs one small packet a second, transport-cc is asked
    for only while a line is in question, by writing its header extension."""
    offered = {kind for m in offer.media for c in m.codecs for kind in c.rtcp_feedback}
    extensions = {uri for m in offer.media for uri in _writable(m)}
    kinds = {"transport-cc"} & offered if EXT_TRANSPORT_CC in extensions else set[str]()
    if "goog-remb" in offered and (EXT_ABS_SEND_TIME in extensions or not kinds):
        kinds.add("goog-remb")
    return frozenset(kinds)


def _writable(section: MediaSection) -> dict[str, int]:
    """Header extensions that we can send, URI to id."""
    return {
        uri: number
        for uri, number in section.extensions.items()
        if uri in _EXTENSIONS and number <= _MAX_EXTENSION_ID
    }


def _fresh(allocate_ssrc: Callable[[], int], taken: set[int]) -> int:
    ssrc = allocate_ssrc()
    while ssrc in taken:
        ssrc = allocate_ssrc()
    taken.add(ssrc)
    return ssrc


def _ssrc_lines(media: MediaNegotiation) -> list[str]:
    label = f"{STREAM_ID} {media.kind}"
    lines = [f"a=msid:{label}"]
    if media.rids:
        # The order of the group is that of the rids: no packet needs to carry its rid.
        lines += [f"a=rid:{rid} send" for rid in media.rids]
        lines.append(f"a=simulcast:send {';'.join(media.rids)}")
        lines.append("a=ssrc-group:SIM " + " ".join(map(str, media.ssrcs)))
    for ssrc in media.ssrcs:
        repair = media.rtx_ssrcs.get(ssrc)
        if repair is not None:
            lines.append(f"a=ssrc-group:FID {ssrc} {repair}")
        for number in (ssrc, repair):
            if number is not None:
                lines.append(f"a=ssrc:{number} cname:wardcast")
                lines.append(f"a=ssrc:{number} msid:{label}")
    return lines
