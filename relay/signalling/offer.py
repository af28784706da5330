"""An SDP offer or answer as data (RFC 8829, RFC 8839, RFC 8843, RFC 8853), and ICE fragments.

`parse_offer` is lenient in form (every WebRTC stack writes SDP in its own way) and strict in what
a session cannot do without: ICE credentials, a fingerprint, one bundle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from relay.core.negotiation import CodecParameters, Kind
from relay.signalling.codec_lines import read_codecs
from relay.signalling.sdp_lines import SdpError, SdpSection, is_token, number, read_sections
from relay.transport.candidate import Candidate

__all__ = [
    "Direction",
    "LocalTransport",
    "MediaSection",
    "Offer",
    "SdpError",
    "SdpFragment",
    "Setup",
    "parse_fragment",
    "parse_offer",
]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Setup = Literal["actpass", "active", "passive"]

MAX_CANDIDATES = 64
MAX_SSRCS = 64
MAX_FINGERPRINTS = 8
MAX_RIDS = 4
_RID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/=\-_]+")
_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){15,63}")
_DIGEST_BYTES = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


@dataclass(frozen=True)
class LocalTransport:
    """Our side of the transport, for an answer. fingerprint: sha-256 with colons."""

    ice_ufrag: str
    ice_pwd: str
    fingerprint: str
    candidates: Sequence[Candidate]
    ice_lite: bool = True


@dataclass(frozen=True)
class MediaSection:
    """One m-section of an offer.

    codecs: in the offer's order, repair codecs folded into `rtx_payload_type`. extensions: URI to
    id. ssrcs: media SSRCs (not those of repair streams). rids: layers that the sender offers.
    wanted_rids: names that a receiver gives to the layers it asks for.
    rtcp_mux: a bundle-only section need not say it, its bundle's transport does (RFC 8859).
    """

    index: int
    kind: Kind
    mid: str
    direction: Direction
    protocol: str
    codecs: tuple[CodecParameters, ...]
    extensions: dict[str, int]
    ssrcs: tuple[int, ...] = ()
    rtx_ssrcs: tuple[tuple[int, int], ...] = ()
    rids: tuple[str, ...] = ()
    wanted_rids: tuple[str, ...] = ()
    msid: str | None = None
    rtcp_mux: bool = False


@dataclass(frozen=True)
class Offer:
    """A parsed session description. bundled: mids of the BUNDLE group, in its order.

    skipped: (index, m-line words, mid) of sections that no answer serves: those that the offer
    itself switched off (port 0) and those that are neither audio nor video (data channels); an
    answer repeats them with port 0. foreign: kinds of the latter. mixed_extensions: one- and
    two-byte header extensions may be mixed (RFC 8285 section 6).
    """

    media: tuple[MediaSection, ...]
    skipped: tuple[tuple[int, tuple[str, ...], str | None], ...]
    bundled: tuple[str, ...]
    ice_ufrag: str
    ice_pwd: str
    ice_options: tuple[str, ...]
    ice_lite: bool
    fingerprints: tuple[tuple[str, str], ...]
    setup: Setup
    candidates: tuple[Candidate, ...]
    foreign: tuple[str, ...] = ()
    mixed_extensions: bool = False

    @property
    def bundle_order(self) -> tuple[str, ...]:
        """mids of the served sections as the BUNDLE group has them: the first is the tagged one
        (RFC 8843 section 7.3.1)."""
        mids = [section.mid for section in self.media]
        return tuple(mid for mid in self.bundled if mid in mids)


@dataclass(frozen=True)
class SdpFragment:
    """An application/trickle-ice-sdpfrag body (RFC 8840). ice_ufrag, ice_pwd: "" when absent."""

    ice_ufrag: str
    ice_pwd: str
    mid: str
    m_line: str
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False

    def answer(self, ufrag: str, pwd: str, candidates: Sequence[Candidate]) -> SdpFragment:
        """The server's fragment in answer to a restart (RFC 9725 section 4.3.3)."""
        return SdpFragment(ufrag, pwd, self.mid, self.m_line, tuple(candidates), True)

    def to_sdp(self) -> str:
        """As text, with ice-lite: only servers write fragments here."""
        lines = [
            "a=ice-lite",
            "a=ice-options:trickle ice2",
            f"a=group:BUNDLE {self.mid}",
            f"m={self.m_line}",
            f"a=mid:{self.mid}",
            f"a=ice-ufrag:{self.ice_ufrag}",
            f"a=ice-pwd:{self.ice_pwd}",
            *(f"a={candidate.to_sdp()}" for candidate in self.candidates),
        ]
        if self.end_of_candidates:
            lines.append("a=end-of-candidates")
        return "\r\n".join(lines) + "\r\n"


def parse_offer(text: str) -> Offer:
    """Read an offer (or answer). Raises SdpError with a sentence that says what is wrong."""
    if not text.lstrip().startswith("v="):
        raise SdpError("the body is not an SDP: it does not begin with v=")
    session, sections = read_sections(text)
    if not sections:
        raise SdpError("the SDP has no media section")
    live = [_is_live(s) for s in sections]
    served = [live[i] and s.m_line[0] in ("audio", "video") for i, s in enumerate(sections)]
    media = tuple(_media_section(i, s, session) for i, s in enumerate(sections) if served[i])
    if not media:
        raise SdpError("the SDP has neither audio nor video")
    mids = [m.mid for m in media]
    if len(set(mids)) != len(mids):
        raise SdpError("two media sections have the same mid")
    parts = [s for s, is_live in zip(sections, live, strict=True) if is_live]
    ufrag, pwd = _credentials(session, parts)
    fingerprints = _fingerprints(session, parts)
    if not fingerprints:
        raise SdpError("the SDP has no DTLS fingerprint")
    options = _first(session, parts, "ice-options") or ""
    return Offer(
        media=media,
        skipped=tuple((i, s.m_line, _mid(s)) for i, s in enumerate(sections) if not served[i]),
        bundled=_bundle(session, mids),
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        ice_options=tuple(re.split(r"[\s,]+", options.strip())) if options.strip() else (),
        ice_lite=session.has("ice-lite"),
        fingerprints=fingerprints,
        setup=_setup(_first(session, parts, "setup")),
        candidates=_candidates([session, *parts]),
        foreign=tuple(
            s.m_line[0][:20] for i, s in enumerate(sections) if live[i] and not served[i]
        ),
        mixed_extensions=session.has("extmap-allow-mixed")
        or all(s.has("extmap-allow-mixed") for s in parts),
    )


def parse_fragment(text: str) -> SdpFragment:
    """Read a trickle or restart fragment. Raises SdpError."""
    session, sections = read_sections(text)
    parts = [session, *sections]
    ufrag = next((p.first("ice-ufrag") for p in parts if p.first("ice-ufrag")), None) or ""
    pwd = next((p.first("ice-pwd") for p in parts if p.first("ice-pwd")), None) or ""
    candidates = _candidates(parts)
    ended = any(p.has("end-of-candidates") for p in parts)
    if not (ufrag or ended or any(p.has("candidate") for p in parts)):
        raise SdpError("the fragment has neither credentials nor candidates")
    if pwd and not ufrag:
        raise SdpError("the fragment has a password but no ufrag")
    if ufrag:
        _check_ice(ufrag, pwd or "x" * 22)
    section = sections[0] if sections else SdpSection()
    return SdpFragment(
        ice_ufrag=ufrag,
        ice_pwd=pwd,
        mid=_mid(section) or "0",
        m_line=" ".join(section.m_line) or "audio 9 UDP/TLS/RTP/SAVPF 0",
        candidates=candidates,
        end_of_candidates=ended,
    )


def _is_live(section: SdpSection) -> bool:
    """Not switched off; port 0 with bundle-only is live (RFC 8843 section 6)."""
    if len(section.m_line) < 4:
        raise SdpError("a media section's m-line is too short")
    port = number(section.m_line[1].split("/")[0], 65536)
    if port is None:
        raise SdpError("a media section's port is not a number")
    return port != 0 or section.has("bundle-only")


def _mid(section: SdpSection) -> str | None:
    mid = section.first("mid")
    if mid is not None and not is_token(mid):
        raise SdpError(f"a=mid:{mid[:20]} is malformed")
    return mid


def _media_section(index: int, section: SdpSection, session: SdpSection) -> MediaSection:
    kind: Kind = "audio" if section.m_line[0] == "audio" else "video"
    media, repairs = _ssrcs(section)
    return MediaSection(
        index=index,
        kind=kind,
        mid=_mid(section) or str(index),
        direction=_direction(section, session),
        protocol=section.m_line[2],
        codecs=read_codecs(section, kind),
        extensions=_extensions(section),
        ssrcs=media,
        rtx_ssrcs=repairs,
        rids=_rids(section, "send"),
        wanted_rids=_rids(section, "recv"),
        msid=_msid(section),
        rtcp_mux=section.has("rtcp-mux") or section.has("bundle-only"),
    )


def _direction(section: SdpSection, session: SdpSection) -> Direction:
    for part in (section, session):
        for direction in _DIRECTIONS:
            if part.has(direction):
                return direction
    return "sendrecv"


def _extensions(section: SdpSection) -> dict[str, int]:
    by_id: dict[int, str] = {}
    for value in section.all("extmap"):
        words = value.split()
        identifier = number(words[0].split("/")[0], 256) if words else None
        if identifier and len(words) >= 2:
            by_id.setdefault(identifier, words[1])
    found: dict[str, int] = {}
    for identifier, uri in by_id.items():
        found.setdefault(uri, identifier)
    return found


def _ssrcs(section: SdpSection) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """(media SSRCs, (media, repair) pairs) from a=ssrc and a=ssrc-group:FID (RFC 5576)."""
    listed: dict[int, None] = {}
    for value in section.all("ssrc"):
        ssrc = number(value.partition(" ")[0], 2**32)
        if ssrc is not None:
            listed[ssrc] = None
    pairs: list[tuple[int, int]] = []
    for value in section.all("ssrc-group"):
        words = value.split()
        numbers = [number(word, 2**32) for word in words[1:]]
        if words and words[0].upper() == "FID" and len(numbers) == 2 and None not in numbers:
            pairs.append((numbers[0] or 0, numbers[1] or 0))
    repairs = {repair for _, repair in pairs}
    media = [ssrc for ssrc in listed if ssrc not in repairs]
    return tuple(media[:MAX_SSRCS]), tuple(pairs[:MAX_SSRCS])


def _rids(section: SdpSection, direction: Literal["send", "recv"]) -> tuple[str, ...]:
    """Layers named by a=simulcast:<direction>, in its order; without it, all rids of it."""
    words = [value.split() for value in section.all("rid")]
    named = dict.fromkeys(w[0] for w in words if w[1:2] == [direction] and _RID.fullmatch(w[0]))
    ways = (section.first("simulcast") or "").split()
    for way, layers in zip(ways[::2], ways[1::2], strict=False):
        if way == direction:
            order = [alternative.split(",")[0].lstrip("~") for alternative in layers.split(";")]
            return tuple(rid for rid in dict.fromkeys(order) if rid in named)[:MAX_RIDS]
    return tuple(named)[:MAX_RIDS] if len(named) > 1 else ()


def _msid(section: SdpSection) -> str | None:
    """Stream id from a=msid, or from a=ssrc:… msid: lines (older stacks)."""
    line = section.first("msid")
    if line is None:
        for value in section.all("ssrc"):
            _, _, attribute = value.partition(" ")
            if attribute.startswith("msid:"):
                line = attribute.removeprefix("msid:")
                break
    words = (line or "").split()
    return words[0] if words else None


def _bundle(session: SdpSection, mids: list[str]) -> tuple[str, ...]:
    for value in session.all("group"):
        words = value.split()
        if words and words[0].upper() == "BUNDLE":
            if not set(mids) <= set(words[1:]):
                raise SdpError("all media sections must be in one BUNDLE group")
            return tuple(words[1:])
    if len(mids) > 1:
        raise SdpError("all media sections must be in one BUNDLE group")
    return tuple(mids)


def _credentials(session: SdpSection, sections: list[SdpSection]) -> tuple[str, str]:
    for part in (*sections, session):
        ufrag, pwd = part.first("ice-ufrag"), part.first("ice-pwd")
        if ufrag and pwd:
            _check_ice(ufrag, pwd)
            return ufrag, pwd
    raise SdpError("the SDP has no ICE credentials")


def _check_ice(ufrag: str, pwd: str) -> None:
    """RFC 8839 section 5.4; 256 characters at most."""
    if not (4 <= len(ufrag) <= 256 and _ICE_CHARS.fullmatch(ufrag)):
        raise SdpError("the ice-ufrag is malformed")
    if not (22 <= len(pwd) <= 256 and _ICE_CHARS.fullmatch(pwd)):
        raise SdpError("the ice-pwd is malformed")


def _fingerprints(session: SdpSection, sections: list[SdpSection]) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for part in (session, *sections):
        for value in part.all("fingerprint"):
            words = value.split()
            if len(words) != 2 or not _FINGERPRINT.fullmatch(words[1]):
                raise SdpError("a DTLS fingerprint is malformed")
            algorithm, digest = words[0].lower(), words[1].upper()
            if len(digest) != 3 * _DIGEST_BYTES.get(algorithm, (len(digest) + 1) // 3) - 1:
                raise SdpError(f"a fingerprint has the wrong length for {algorithm[:10]}")
            found[algorithm, digest] = None
    return tuple(found)[:MAX_FINGERPRINTS]


def _candidates(parts: Sequence[SdpSection]) -> tuple[Candidate, ...]:
    """Candidates that can be read; an unusable one says nothing against the rest."""
    lines = dict.fromkeys(value for part in parts for value in part.all("candidate"))
    found: dict[Candidate, None] = {}
    for line in islice(lines, 4 * MAX_CANDIDATES):
        try:
            found[Candidate.parse(line)] = None
        except ValueError:
            continue
    return tuple(found)[:MAX_CANDIDATES]


def _setup(value: str | None) -> Setup:
    if value in (None, "actpass"):
        return "actpass"
    if value == "active":
        return "active"
    if value == "passive":
        return "passive"
    raise SdpError(f"a=setup:{value[:20] if value else ''} is not known")


def _first(session: SdpSection, sections: list[SdpSection], name: str) -> str | None:
    return next((p.first(name) for p in (*sections, session) if p.first(name)), None)
