"""Codecs of an m-section: rtpmap, fmtp and rtcp-fb lines folded together (RFC 8866, RFC 4588)."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.negotiation import CodecParameters, Kind
from relay.signalling.sdp_lines import SdpError, SdpSection, is_token, number

KNOWN_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"})
MAX_PAYLOAD_TYPES = 100


def read_codecs(section: SdpSection, kind: Kind) -> tuple[CodecParameters, ...]:
    """Codecs in the m-line's order; RTX, RED of video, FEC and comfort noise are not listed."""
    maps = _rtpmaps(section)
    formats = _formats(section)
    feedback = _feedback(section)
    order = _payload_types(section)
    repairs = {
        apt: repair
        for repair in order
        if maps.get(repair, ("",))[0] == "RTX"
        and (apt := number(formats.get(repair, {}).get("apt", ""), 128)) is not None
    }
    codecs = []
    for payload_type in order:
        name, clock_rate, channels = maps.get(payload_type, ("", 0, 1))
        if not name or name == "RTX":
            continue
        codecs.append(
            CodecParameters(
                payload_type=payload_type,
                name=name,
                clock_rate=clock_rate,
                channels=channels if kind == "audio" else 1,
                fmtp=formats.get(payload_type, {}),
                rtcp_feedback=frozenset(
                    feedback.get(payload_type, set()) | feedback.get(-1, set())
                ),
                rtx_payload_type=repairs.get(payload_type),
            )
        )
    return tuple(codecs)


def _payload_types(section: SdpSection) -> list[int]:
    """Of the m-line, each once."""
    order: dict[int, None] = {}
    for word in section.m_line[3 : 3 + MAX_PAYLOAD_TYPES]:
        payload_type = number(word, 128)
        if payload_type is None:
            raise SdpError(f"{word[:20]!r} is not a payload type")
        order[payload_type] = None
    return list(order)


def _rtpmaps(section: SdpSection) -> dict[int, tuple[str, int, int]]:
    maps: dict[int, tuple[str, int, int]] = {}
    for value in section.all("rtpmap"):
        words = value.split()
        parts = words[1].split("/") if len(words) > 1 else []
        payload_type = number(words[0], 128) if len(parts) >= 2 else None
        clock_rate = number(parts[1], 10_000_000) if len(parts) >= 2 else None
        if payload_type is None or not clock_rate or not is_token(parts[0]):
            raise SdpError(f"a=rtpmap:{value[:40]} is malformed")
        channels = number(parts[2], 256) if len(parts) > 2 else None
        maps[payload_type] = (parts[0].upper(), clock_rate, channels or 1)
    return maps


def _formats(section: SdpSection) -> dict[int, dict[str, str]]:
    formats: dict[int, dict[str, str]] = {}
    for value in section.all("fmtp"):
        word, _, rest = value.partition(" ")
        payload_type = number(word, 128)
        if payload_type is None:
            continue
        pairs = (item.partition("=") for item in rest.split(";") if item.strip())
        formats.setdefault(payload_type, {}).update(
            {key.strip().lower(): text.strip() for key, _, text in pairs}
        )
    return formats


def _feedback(section: SdpSection) -> dict[int, set[str]]:
    """By payload type; -1 for "*"."""
    feedback: dict[int, set[str]] = {}
    for value in section.all("rtcp-fb"):
        word, _, rest = value.partition(" ")
        kind = " ".join(rest.lower().split())
        if kind not in KNOWN_FEEDBACK:
            continue
        payload_type = -1 if word == "*" else number(word, 128)
        if payload_type is not None:
            feedback.setdefault(payload_type, set()).add(kind)
    return feedback


def codec_lines(codecs: Iterable[CodecParameters]) -> list[str]:
    """rtpmap, fmtp and rtcp-fb lines of codecs and their repair codecs."""
    lines: list[str] = []
    for codec in codecs:
        payload_type = codec.payload_type
        name = {"OPUS": "opus", "RED": "red"}.get(codec.name, codec.name)
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{payload_type} {name}/{codec.clock_rate}{channels}")
        lines += [f"a=rtcp-fb:{payload_type} {kind}" for kind in sorted(codec.rtcp_feedback)]
        if codec.fmtp:
            parameters = ";".join(f"{k}={v}" if v else k for k, v in codec.fmtp.items())
            lines.append(f"a=fmtp:{payload_type} {parameters}")
        if codec.rtx_payload_type is not None:
            lines.append(f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}")
            lines.append(f"a=fmtp:{codec.rtx_payload_type} apt={payload_type}")
    return lines


def payload_types(codecs: Iterable[CodecParameters]) -> list[int]:
    """Numbers for the m-line: each codec, then its repair codec."""
    numbers: list[int] = []
    for codec in codecs:
        numbers.append(codec.payload_type)
        if codec.rtx_payload_type is not None:
            numbers.append(codec.rtx_payload_type)
    return numbers
