"""Issuing tokens: Ed25519-signed JWTs whose checking half is `relay.signalling.auth`.

A token's id is `<scope>.<subject>.<nanoseconds of its making, hex>.<random>`: `hub.revocation`
takes back by it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from relay.signalling.auth import ALGORITHM, AUDIENCE
from relay.signalling.node_protocol import Scope

KEY_FILE = "token-key.pem"


class KeyFileError(ValueError):
    """A key file that cannot be used."""


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The signing key, made at first start with mode 0600. Raises KeyFileError."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        return key
    try:
        loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: is not a readable private key") from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: is not an Ed25519 key")
    return loaded


class TokenIssuer:
    """Signs tokens with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What a verifier needs."""
        return self._key.public_key()

    def issue(self, scope: Scope, subject: str, stream: str, lifetime_s: float) -> str:
        """A token. subject: commune slug, publisher or operator name; stream "*" is any."""
        return self.sign(
            {
                "scope": scope,
                "sub": subject,
                "stream": stream,
                "jti": self.new_id(scope, subject),
                "exp": int(time.time()) + int(lifetime_s),
            }
        )

    def new_id(self, scope: Scope, subject: str) -> str:
        """An id for a token made now."""
        return f"{scope}.{subject}.{time.time_ns():x}.{secrets.token_hex(8)}"

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token of these claims, for us and as of now."""
        whole = {**claims, "iat": int(time.time()), "aud": AUDIENCE}
        return jwt.encode(whole, self._key, algorithm=ALGORITHM)

    def public_pem(self) -> str:
        """The public key as relays are told it."""
        return self.public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
