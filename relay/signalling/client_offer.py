"""Offers that our own WHIP and WHEP clients make, and what they read from the answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from relay.core.negotiation import (
    CodecParameters,
    Kind,
    MediaNegotiation,
    PublisherNegotiation,
)
from relay.signalling.codec_lines import codec_lines, payload_types
from relay.signalling.offer import MediaSection, Offer, SdpError, parse_offer
from relay.transport.candidate import Candidate
from relay.transport.parameters import DtlsRole

STREAM_ID = "wardcast"


@dataclass(frozen=True)
class OfferedLayer:
    """A simulcast layer (RFC 8853). ssrc, rtx_ssrc: what it is sent with."""

    rid: str
    ssrc: int
    rtx_ssrc: int


@dataclass(frozen=True)
class OfferedMedia:
    """One section of a client's offer.

    extensions: URIs; ids are given in this order from 1, the same in every section.
    ssrc, rtx_ssrc: what a publisher will send with; None for a viewer. wanted_rids: names for the
    layers that a relay asks for. layers: those that a publisher sends, richest first; they are told
    by rid and have SSRCs of their own.
    """

    kind: Kind
    direction: Literal["sendonly", "recvonly"]
    codecs: tuple[CodecParameters, ...]
    extensions: tuple[str, ...] = ()
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    wanted_rids: tuple[str, ...] = ()
    layers: tuple[OfferedLayer, ...] = ()


@dataclass(frozen=True)
class ClientAnswer:
    """What an answer settled. negotiation: for a viewer `ssrcs` are the server's."""

    negotiation: PublisherNegotiation
    ufrag: str
    pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    dtls_role: DtlsRole
    candidates: tuple[Candidate, ...]
    ice_lite: bool


def build_offer(*, ufrag: str, pwd: str, fingerprint: str, media: Sequence[OfferedMedia]) -> str:
    """An offer with BUNDLE, rtcp-mux and no candidates: the server learns ours from checks."""
    numbers = _extension_ids(media)
    lines = [
        "v=0",
        f"o=- {secrets.randbits(62)} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {' '.join(str(i) for i in range(len(media)))}",
        "a=ice-options:trickle ice2",
        f"a=msid-semantic: WMS {STREAM_ID}",
    ]
    for i, section in enumerate(media):
        types = " ".join(map(str, payload_types(section.codecs)))
        lines += [
            f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {types}",
            "c=IN IP4 0.0.0.0",
            "a=rtcp:9 IN IP4 0.0.0.0",
            f"a=mid:{i}",
            f"a={section.direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            "a=setup:actpass",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{pwd}",
            f"a=fingerprint:sha-256 {fingerprint}",
            *codec_lines(section.codecs),
            *(f"a=extmap:{numbers[uri]} {uri}" for uri in section.extensions),
            *_source_lines(section),
        ]
    return "\r\n".join(lines) + "\r\n"


def parse_answer(offer_text: str, answer_text: str) -> ClientAnswer:
    """Read the answer to `offer_text`. Raises SdpError when it does not fit the offer."""
    offer, answer = parse_offer(offer_text), parse_offer(answer_text)
    offered = {section.mid: section for section in offer.media}
    media = []
    for section in answer.media:
        ours = offered.get(section.mid)
        if ours is None or ours.kind != section.kind:
            raise SdpError("the answer does not fit the offer")
        sending = ours.direction == "sendonly"
        repairs = dict(ours.rtx_ssrcs if sending else section.rtx_ssrcs)
        media.append(
            MediaNegotiation(
                index=section.index,
                mid=section.mid,
                kind=section.kind,
                codecs=tuple(_with_own_format(c, ours.codecs) for c in section.codecs),
                extensions=section.extensions,
                ssrcs=ours.ssrcs if sending else section.ssrcs,
                rtx_ssrcs=repairs,
                rids=_accepted_rids(ours, section) if sending else section.rids,
            )
        )
    return ClientAnswer(
        negotiation=PublisherNegotiation(tuple(media)),
        ufrag=answer.ice_ufrag,
        pwd=answer.ice_pwd,
        fingerprints=answer.fingerprints,
        dtls_role=_role(answer),
        candidates=answer.candidates,
        ice_lite=answer.ice_lite,
    )


def _accepted_rids(ours: MediaSection, theirs: MediaSection) -> tuple[str, ...]:
    """Layers that the server takes; none where it knows no simulcast (the richest goes alone)."""
    return tuple(rid for rid in ours.rids if rid in theirs.wanted_rids)


def _role(answer: Offer) -> DtlsRole:
    """We offered actpass: an active answerer makes us the server."""
    return "server" if answer.setup == "active" else "client"


def _with_own_format(codec: CodecParameters, offered: Sequence[CodecParameters]) -> CodecParameters:
    """An answer may leave the fmtp out: then the offer's holds."""
    own = next((c for c in offered if c.payload_type == codec.payload_type), None)
    return replace(codec, fmtp=own.fmtp) if own is not None and not codec.fmtp else codec


def _extension_ids(media: Sequence[OfferedMedia]) -> dict[str, int]:
    uris = dict.fromkeys(uri for section in media for uri in section.extensions)
    return {uri: i + 1 for i, uri in enumerate(uris)}


def _source_lines(section: OfferedMedia) -> list[str]:
    if section.wanted_rids:
        names = [f"a=rid:{rid} recv" for rid in section.wanted_rids]
        return [*names, f"a=simulcast:recv {';'.join(section.wanted_rids)}"]
    if section.layers:
        names = [f"a=rid:{layer.rid} send" for layer in section.layers]
        order = ";".join(layer.rid for layer in section.layers)
        return [f"a=msid:{STREAM_ID} {section.kind}", *names, f"a=simulcast:send {order}"]
    if section.ssrc is None:
        return []
    label = f"{STREAM_ID} {section.kind}"
    lines = [f"a=msid:{label}"]
    if section.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}")
    for ssrc in (section.ssrc, section.rtx_ssrc):
        if ssrc is not None:
            lines.append(f"a=ssrc:{ssrc} cname:wardcast")
            lines.append(f"a=ssrc:{ssrc} msid:{label}")
    return lines
