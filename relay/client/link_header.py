"""The `Link` header (RFC 8288) as WHIP and WHEP servers send it: ICE servers and extensions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PART = re.compile(r'\s*;\s*([\w!#$&+.^`|~*-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?')
_TARGET = re.compile(r"[\s,]*<([^>]*)>")


@dataclass(frozen=True)
class Link:
    """target: the URI as written, maybe relative. parameters: lower-case names."""

    target: str
    parameters: Mapping[str, str]

    @property
    def rel(self) -> str:
        return self.parameters.get("rel", "")


def parse_links(headers: Iterable[str]) -> tuple[Link, ...]:
    """All links of one or more Link headers; what does not parse ends its header."""
    links = []
    for header in headers:
        position = 0
        while match := _TARGET.match(header, position):
            position = match.end()
            parameters: dict[str, str] = {}
            while part := _PART.match(header, position):
                position = part.end()
                value = part[2] if part[2] is not None else part[3] or ""
                parameters.setdefault(part[1].lower(), re.sub(r"\\(.)", r"\1", value))
            links.append(Link(match[1], parameters))
    return tuple(links)
