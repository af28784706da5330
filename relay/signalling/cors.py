"""CORS for WHIP and WHEP: any page may speak to us, a token decides what it may do.

Errors carry the headers too; browsers send `Origin: null` after a second foreign redirect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multidict import CIMultiDict

EXPOSED = "Location, ETag, Link, Retry-After, Accept-Post, WWW-Authenticate"
ALLOWED_HEADERS = "Authorization, Content-Type, If-Match, Last-Event-ID, Accept"


def add_cors(headers: CIMultiDict[str]) -> None:
    """Headers that every answer carries."""
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = EXPOSED


def options_headers(methods: Sequence[str], *, accept_post: str | None) -> dict[str, str]:
    """Headers of an answer to OPTIONS."""
    listed = ", ".join(methods)
    headers = {
        "Allow": listed,
        "Access-Control-Allow-Methods": listed,
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": "86400",
    }
    if accept_post:
        headers["Accept-Post"] = accept_post
    return headers


def is_preflight(headers: Mapping[str, str]) -> bool:
    """A browser's own question before a page's request (Fetch standard); it has no token."""
    return "Access-Control-Request-Method" in headers
