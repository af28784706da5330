"""SDP as lines: a tolerant reader that knows sections and attributes, nothing of their meaning.

It takes LF or CRLF, session-level attributes, and attributes it has never heard of. Limits on size
and lines keep a hostile body cheap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_SDP_BYTES = 64 * 1024
MAX_LINES = 2000
MAX_SECTIONS = 16
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")
_TOKEN = re.compile(r"[!#-'*+.\-0-9A-Z^-~]{1,64}")


class SdpError(ValueError):
    """An SDP that cannot be used; the text is a sentence for the sender."""


@dataclass
class SdpSection:
    """Session part or one m-section. m_line: words after "m=", empty for the session part."""

    m_line: tuple[str, ...] = ()
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def first(self, name: str) -> str | None:
        """Value of the first attribute of this name, None when there is none."""
        return next((value for key, value in self.attributes if key == name), None)

    def all(self, name: str) -> list[str]:
        """Values of all attributes of this name."""
        return [value for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        """The attribute is there, with or without a value."""
        return any(key == name for key, _ in self.attributes)


def read_sections(text: str) -> tuple[SdpSection, list[SdpSection]]:
    """(session part, m-sections). Raises SdpError for what is no SDP at all."""
    if len(text) > MAX_SDP_BYTES:
        raise SdpError("the SDP is too long")
    if _CONTROL.search(text):
        raise SdpError("the SDP has control characters")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError("the SDP has too many lines")
    session = SdpSection()
    sections: list[SdpSection] = []
    for line in lines:
        if not line.strip():
            continue
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"not a line of SDP: {line[:40]!r}")
        kind, value = line[0], line[2:].strip()
        if kind == "m":
            if len(sections) >= MAX_SECTIONS:
                raise SdpError("the SDP has too many sections")
            sections.append(SdpSection(m_line=tuple(value.split())))
        elif kind == "a":
            name, _, rest = value.partition(":")
            target = sections[-1] if sections else session
            target.attributes.append(_repaired(name.strip().lower(), rest.strip()))
    return session, sections


def number(text: str, limit: int) -> int | None:
    """A decimal number below `limit` (itself below 10**10), None for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    value = int(text)
    return value if value < limit else None


def is_token(text: str) -> bool:
    """A token of RFC 8866 section 9, of 64 characters at most."""
    return _TOKEN.fullmatch(text) is not None


def _repaired(name: str, value: str) -> tuple[str, str]:
    """ffmpeg writes "rtcp-fb106 nack" without its colon."""
    if name.startswith("rtcp-fb") and name != "rtcp-fb" and not value:
        return "rtcp-fb", name.removeprefix("rtcp-fb").strip()
    return name, value
