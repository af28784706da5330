"""What WHIP and WHEP answers have in common: session lines, transport lines, the frame."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace

from relay.core.negotiation import CodecParameters, MediaNegotiation
from relay.signalling.codec_lines import codec_lines, payload_types
from relay.signalling.offer import LocalTransport, MediaSection, Offer, Setup
from relay.transport.parameters import DtlsRole

_PROTOCOLS = frozenset(
    {"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP", "TCP/DTLS/RTP/SAVPF"}
)


# What the transport trusts in a certificate; RFC 8122 section 5 asks for sha-256 of everybody.
_TRUSTED_DIGESTS = frozenset({"sha-256", "sha-384", "sha-512"})


class OfferRefused(ValueError):
    """A well-formed offer that cannot be served (422); the text says why."""


def dtls_role(offer: Offer) -> DtlsRole:
    """Ours: passive for actpass and active, active for passive (RFC 8842 section 5.3)."""
    return "client" if offer.setup == "passive" else "server"


def frame_answer(
    offer: Offer, local: LocalTransport, sections: Mapping[int, list[str]], stream_id: str
) -> str:
    """The whole answer. sections: lines of each answered m-section, by index."""
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(offer.bundle_order)}",
        f"a=msid-semantic: WMS {stream_id}".rstrip(),
    ]
    if local.ice_lite:
        lines.append("a=ice-lite")
    skipped = {index: (m_line, mid) for index, m_line, mid in offer.skipped}
    for index in sorted({*sections, *skipped}):
        if index in sections:
            lines += sections[index]
        else:
            m_line, mid = skipped[index]
            lines.append(f"m={m_line[0]} 0 {' '.join(m_line[2:])}")
            lines += ["c=IN IP4 0.0.0.0", "a=inactive"]
            lines += [f"a=mid:{mid}"] if mid else []
    return "\r\n".join(lines) + "\r\n"


def section_lines(
    section: MediaSection,
    negotiated: MediaNegotiation,
    offer: Offer,
    local: LocalTransport,
    direction: str,
) -> list[str]:
    """Lines that every answered m-section has. All candidates are in the tagged one: BUNDLE."""
    numbers = " ".join(map(str, payload_types(negotiated.codecs)))
    setup: Setup = "active" if dtls_role(offer) == "client" else "passive"
    lines = [
        f"m={section.kind} 9 {section.protocol} {numbers}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{section.mid}",
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
        f"a=setup:{setup}",
        f"a=ice-ufrag:{local.ice_ufrag}",
        f"a=ice-pwd:{local.ice_pwd}",
        "a=ice-options:ice2 trickle",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        *codec_lines(negotiated.codecs),
        *(f"a=extmap:{number} {uri}" for uri, number in negotiated.extensions.items()),
    ]
    if section.mid == offer.bundle_order[0]:
        lines += [f"a={candidate.to_sdp()}" for candidate in local.candidates]
        lines.append("a=end-of-candidates")
    return lines


def check_shape(offer: Offer) -> None:
    """Raises OfferRefused unless there is at most one audio and one video section (RFC 9725
    section 4.2: one MediaStream), each over DTLS-SRTP with multiplexed RTCP, and a fingerprint
    that can be trusted."""
    if not any(algorithm in _TRUSTED_DIGESTS for algorithm, _ in offer.fingerprints):
        raise OfferRefused("a=fingerprint must be of sha-256, sha-384 or sha-512")
    for section in offer.media:
        if section.protocol not in _PROTOCOLS:
            raise OfferRefused(f"{section.protocol[:30]} cannot be served, only DTLS-SRTP")
        if not section.rtcp_mux:
            raise OfferRefused(f"section {section.mid} must offer a=rtcp-mux")
    for kind in ("audio", "video"):
        if sum(m.kind == kind for m in offer.media) > 1:
            raise OfferRefused(f"only one {kind} track can be served; the offer has several")


def with_feedback(codec: CodecParameters, allowed: Iterable[str]) -> CodecParameters:
    """The codec with only these kinds of RTCP feedback."""
    return replace(codec, rtcp_feedback=codec.rtcp_feedback & frozenset(allowed))
