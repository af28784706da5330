"""Bearer tokens: Ed25519-signed JWTs (RFC 7519, RFC 8037), checked with public keys alone.

Claims: `scope`, `sub`, `stream`, `jti`, `iat`, `exp`, `aud` = "wardcast". Signatures are compared
by the library's constant-time verification. A token never appears in an error or a log line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.signalling.node_protocol import Grant, Scope

AUDIENCE = "wardcast"
ALGORITHM = "EdDSA"
LEEWAY_S = 10
MAX_TOKEN_CHARS = 4096
_REQUIRED = ["scope", "sub", "stream", "jti", "exp", "aud"]


class InvalidToken(Exception):
    """No token, or one that does not verify: 401. The text is safe to show."""


class Forbidden(Exception):
    """A good token for something else: 403. The text is safe to show."""


class TokenVerifier:
    """Verifies tokens. is_revoked: tells whether a token_id was taken back. node_id: of the node
    that verifies; a ticket (a token with claims `tid` and `relay`) is good at its own node alone.
    """

    def __init__(
        self,
        public_keys: Sequence[Ed25519PublicKey],
        is_revoked: Callable[[str], bool] = lambda _: False,
        *,
        node_id: str = "",
    ) -> None:
        self._keys = tuple(public_keys)
        self._is_revoked = is_revoked
        self._node_id = node_id

    def set_keys(self, public_keys: Sequence[Ed25519PublicKey]) -> None:
        """Trust these from now on."""
        self._keys = tuple(public_keys)

    def verify(self, token: str) -> Grant:
        """Signature, expiry, audience, revocation. Raises InvalidToken."""
        if not token or len(token) > MAX_TOKEN_CHARS:
            raise InvalidToken("The token is missing or malformed.")
        claims = self._claims(token)
        scope, subject, stream = claims["scope"], claims["sub"], claims["stream"]
        if scope not in get_args(Scope) or not (
            isinstance(subject, str) and isinstance(stream, str)
        ):
            raise InvalidToken("The token's claims are not understood.")
        token_id = str(claims["jti"])
        if self._is_revoked(token_id):
            raise InvalidToken("The token has been revoked.")
        if claims.get("relay", self._node_id) != self._node_id:
            raise InvalidToken("The ticket is for another relay.")
        ticket_id = str(claims.get("tid", ""))
        return Grant(scope, subject, stream, token_id, float(claims["exp"]), ticket_id)

    def authorize(self, token: str, scopes: tuple[Scope, ...], stream: str) -> Grant:
        """A grant for one of these scopes on `stream`. Raises InvalidToken or Forbidden."""
        grant = self.verify(token)
        if grant.scope not in scopes:
            raise Forbidden(f"This token is for '{grant.scope}', not for this.")
        if grant.stream not in ("*", stream):
            raise Forbidden("This token is for another stream.")
        return grant

    def _claims(self, token: str) -> dict[str, Any]:
        error = "The token is not valid."
        for key in self._keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    audience=AUDIENCE,
                    leeway=LEEWAY_S,
                    options={"require": _REQUIRED},
                )
            except jwt.ExpiredSignatureError:
                error = "The token has expired."
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
                error = "The token is not valid."
            else:
                return claims
        raise InvalidToken(error)


def bearer_token(header: str | None) -> str:
    """The token of an Authorization header (RFC 6750), its scheme in any case; "" if none."""
    scheme, _, token = (header or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
