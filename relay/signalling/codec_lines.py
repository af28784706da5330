"""Codecs of an m-section: rtpmap, fmtp and rtcp-fb lines folded together (RFC 8866, RFC 4588)."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.negotiation import CodecParameters, Kind
from relay.signalling.sdp_lines import SdpError, SdpSection

KNOWN_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"})
MAX_PAYLOAD_TYPES = 100


def read_codecs(section: SdpSection, kind: Kind) -> tuple[CodecParameters, ...]:
    """Codecs in the m-line's order; RTX, RED of video, FEC and comfort noise are not listed."""
    maps = _rtpmaps(section)
    formats = _formats(section)
    feedback = _feedback(section)
    order = [int(w) for w in section.m_line[3:] if w.isascii() and w.isdigit() and len(w) <= 3]
    if any(number > 127 for number in order):
        raise SdpError("a payload type is above 127")
    repairs = {
        int(apt): number
        for number in order
        if number in maps
        and maps[number][0] == "RTX"
        and (apt := formats.get(number, {}).get("apt", "")).isdigit()
        and len(apt) <= 3
    }
    codecs = []
    for number in order[:MAX_PAYLOAD_TYPES]:
        name, clock_rate, channels = maps.get(number, ("", 0, 1))
        if not name or name == "RTX":
            continue
        codecs.append(
            CodecParameters(
                payload_type=number,
                name=name,
                clock_rate=clock_rate,
                channels=channels if kind == "audio" else 1,
                fmtp=formats.get(number, {}),
                rtcp_feedback=frozenset(feedback.get(number, set()) | feedback.get(-1, set())),
                rtx_payload_type=repairs.get(number),
            )
        )
    return tuple(codecs)


def _rtpmaps(section: SdpSection) -> dict[int, tuple[str, int, int]]:
    maps: dict[int, tuple[str, int, int]] = {}
    for value in section.all("rtpmap"):
        words = value.split()
        parts = words[1].split("/") if len(words) > 1 else []
        if len(parts) < 2 or not words[0].isdigit() or not parts[1].isdigit():
            raise SdpError(f"a=rtpmap:{value[:40]} is malformed")
        if len(words[0]) > 3 or len(parts[1]) > 7 or int(parts[1]) == 0:
            raise SdpError(f"a=rtpmap:{value[:40]} is malformed")
        channels = int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else 1
        maps[int(words[0])] = (parts[0].upper(), int(parts[1]), min(channels, 255))
    return maps


def _formats(section: SdpSection) -> dict[int, dict[str, str]]:
    formats: dict[int, dict[str, str]] = {}
    for value in section.all("fmtp"):
        number, _, rest = value.partition(" ")
        if not (number.isascii() and number.isdigit()) or len(number) > 3:
            continue
        pairs = (item.partition("=") for item in rest.split(";") if item.strip())
        formats.setdefault(int(number), {}).update(
            {key.strip().lower(): text.strip() for key, _, text in pairs}
        )
    return formats


def _feedback(section: SdpSection) -> dict[int, set[str]]:
    """By payload type; -1 for "*"."""
    feedback: dict[int, set[str]] = {}
    for value in section.all("rtcp-fb"):
        number, _, rest = value.partition(" ")
        kind = " ".join(rest.lower().split())
        if kind not in KNOWN_FEEDBACK:
            continue
        if number == "*":
            feedback.setdefault(-1, set()).add(kind)
        elif number.isascii() and number.isdigit() and len(number) <= 3:
            feedback.setdefault(int(number), set()).add(kind)
    return feedback


def codec_lines(codecs: Iterable[CodecParameters]) -> list[str]:
    """rtpmap, fmtp and rtcp-fb lines of codecs and their repair codecs."""
    lines: list[str] = []
    for codec in codecs:
        number = codec.payload_type
        name = {"OPUS": "opus", "RED": "red"}.get(codec.name, codec.name)
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{number} {name}/{codec.clock_rate}{channels}")
        lines += [f"a=rtcp-fb:{number} {kind}" for kind in sorted(codec.rtcp_feedback)]
        if codec.fmtp:
            parameters = ";".join(f"{k}={v}" if v else k for k, v in codec.fmtp.items())
            lines.append(f"a=fmtp:{number} {parameters}")
        if codec.rtx_payload_type is not None:
            lines.append(f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}")
            lines.append(f"a=fmtp:{codec.rtx_payload_type} apt={number}")
    return lines


def payload_types(codecs: Iterable[CodecParameters]) -> list[int]:
    """Numbers for the m-line: each codec, then its repair codec."""
    numbers: list[int] = []
    for codec in codecs:
        numbers.append(codec.payload_type)
        if codec.rtx_payload_type is not None:
            numbers.append(codec.rtx_payload_type)
    return numbers
