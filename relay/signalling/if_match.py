"""If-Match as RFC 9110 section 13.1.1 has it, and as WHIP clients send it."""

from __future__ import annotations

import re

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')


def if_match(header: str | None, etag: str) -> bool | None:
    """None when the header is missing, else whether it names `etag` (unquoted, ours).

    A list is searched; weak tags never match; `*` matches bare and quoted (RFC 9725's example
    quotes it).
    """
    if header is None:
        return None
    if header.strip() in ("*", '"*"'):
        return True
    return any(
        not weak and tag == etag
        for part in header.split(",")
        if (match := _TAG.fullmatch(part))
        for weak, tag in [match.groups()]
    )
