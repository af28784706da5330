"""If-Match as RFC 9110 section 13.1.1 has it, and as WHIP clients send it."""

from __future__ import annotations

import re

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
# Empty elements are allowed (RFC 9110 section 5.6.1.2); a comma may stand inside a tag.
_LIST = re.compile(rf"[ \t,]*{_TAG.pattern}(?:[ \t]*,[ \t,]*{_TAG.pattern})*[ \t,]*")


def if_match(header: str | None, etag: str) -> bool | None:
    """None when the header is missing, else whether it names `etag` (unquoted, ours).

    A list is searched; weak tags never match; `*` matches bare and quoted (RFC 9725's example
    quotes it).
    """
    if header is None:
        return None
    if header.strip() in ("*", '"*"'):
        return True
    if not _LIST.fullmatch(header):
        return False
    return any(not weak and tag == etag for weak, tag in _TAG.findall(header))
