"""STUN and TURN servers told to one client (RFC 9725 section 4.6), TURN with short credentials.

The scheme is the one that coturn calls `use-auth-secret`: the user name is the second at which it
ends and a label, the credential an HMAC of it, so that hub and TURN server share a secret and
nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

DEFAULT_LIFETIME_S = 3600.0
"""A session of 45 minutes may restart ICE until its end with what it was told at its beginning."""

MAX_LABEL_CHARS = 64
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_HOST_PORT = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
_TURN = re.compile(rf"turns?:{_HOST_PORT}(\?transport=(udp|tcp))?")
_STUN = re.compile(rf"stuns?:{_HOST_PORT}")
MAX_PORT = 65535


def check_turn_uri(uri: str) -> str:
    """A `turn:` or `turns:` URI (RFC 7065). Raises ValueError."""
    if not _matches(_TURN, uri):
        raise ValueError(f"{uri!r} is not a TURN URI such as turns:host:443?transport=tcp")
    return uri


def check_stun_uri(uri: str) -> str:
    """A `stun:` or `stuns:` URI (RFC 7064). Raises ValueError."""
    if not _matches(_STUN, uri):
        raise ValueError(f"{uri!r} is not a STUN URI such as stun:host:3478")
    return uri


def stun_link(uri: str) -> str:
    """Link header value of a server that asks nobody for a name. Raises ValueError."""
    return f'<{check_stun_uri(uri)}>; rel="ice-server"'


@dataclass(frozen=True)
class TurnServers:
    """urls: `turn:` and `turns:` URIs (RFC 7065). secret: shared with them. lifetime_s: seconds
    during which an allocation may be made; a session that has one keeps it.

    Raises ValueError for a URI that is none.
    """

    urls: Sequence[str]
    secret: str = field(repr=False)
    lifetime_s: float = DEFAULT_LIFETIME_S

    def __post_init__(self) -> None:
        for url in self.urls:
            check_turn_uri(url)

    def links(self, subject: str, now_s: float) -> list[str]:
        """Link header values for one client. now_s: seconds since the epoch."""
        label = _NOT_IN_LABEL.sub("-", subject)[:MAX_LABEL_CHARS]
        username = f"{int(now_s + self.lifetime_s)}:{label}"
        # SHA-1 is the scheme's, and as an HMAC it is sound.
        digest = hmac.new(self.secret.encode(), username.encode(), hashlib.sha1).digest()
        credential = base64.b64encode(digest).decode()
        return [
            f'<{url}>; rel="ice-server"; username="{username}"; '
            f'credential="{credential}"; credential-type="password"'
            for url in self.urls
        ]


def _matches(pattern: re.Pattern[str], uri: str) -> bool:
    match = pattern.fullmatch(uri)
    return match is not None and 0 < int(match["port"] or 1) <= MAX_PORT
