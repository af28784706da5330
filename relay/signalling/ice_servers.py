"""TURN servers told to one client: credentials that live for minutes (RFC 9725 section 4.6).

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

_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
_URL = re.compile(r"turns?:[A-Za-z0-9.\-\[\]:]+(\?transport=(udp|tcp))?")


@dataclass(frozen=True)
class TurnServers:
    """urls: `turn:` and `turns:` URIs (RFC 7065). secret: shared with them. lifetime_s: seconds
    during which an allocation may be made; a session that has one keeps it.

    Raises ValueError for a URI that is none.
    """

    urls: Sequence[str]
    secret: str = field(repr=False)
    lifetime_s: float = 300.0

    def __post_init__(self) -> None:
        for url in self.urls:
            if not _URL.fullmatch(url):
                raise ValueError(f"{url!r} is not a TURN URI such as turns:host:443?transport=tcp")

    def links(self, subject: str, now_s: float) -> list[str]:
        """Link header values for one client. now_s: seconds since the epoch."""
        label = _NOT_IN_LABEL.sub("-", subject)[:64]
        username = f"{int(now_s + self.lifetime_s)}:{label}"
        # SHA-1 is the scheme's, and as an HMAC it is sound.
        digest = hmac.new(self.secret.encode(), username.encode(), hashlib.sha1).digest()
        credential = base64.b64encode(digest).decode()
        return [
            f'<{url}>; rel="ice-server"; username="{username}"; '
            f'credential="{credential}"; credential-type="password"'
            for url in self.urls
        ]
