"""Token verification: what passes and what does not."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from relay.signalling.auth import AUDIENCE, Forbidden, InvalidToken, TokenVerifier, bearer_token

KEY, OLD_KEY, FOREIGN = (Ed25519PrivateKey.generate() for _ in range(3))
REVOKED = "taken-back"
VERIFIER = TokenVerifier([KEY.public_key(), OLD_KEY.public_key()], lambda jti: jti == REVOKED)


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    content: dict[str, object] = {
        "scope": "view",
        "sub": "an-phu",
        "stream": "phien-hop",
        "jti": "t1",
        "iat": now,
        "exp": now + 60,
        "aud": AUDIENCE,
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}


def signed(key: Ed25519PrivateKey = KEY, /, **changes: object) -> str:
    return jwt.encode(claims(**changes), key, algorithm="EdDSA")


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_every_key_of_the_hub_verifies(key: Ed25519PrivateKey) -> None:
    grant = VERIFIER.authorize(signed(key), ("view",), "phien-hop")
    assert (grant.scope, grant.subject, grant.token_id) == ("view", "an-phu", "t1")


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims())
    words = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*words, ""])


def signed_with_the_public_key() -> str:
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return jwt.encode(claims(), raw, algorithm="HS256")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        signed(FOREIGN),
        signed(exp=int(time.time()) - 60),
        signed(aud="another"),
        signed(scope="admin"),
        signed(scope=["view"]),
        signed(jti=REVOKED),
        signed(nbf=int(time.time()) + 600),
        *(signed(KEY, **{name: None}) for name in ("scope", "sub", "stream", "jti", "exp", "aud")),
        signed()[:-4] + "AAAA",
        unsigned(),
        signed_with_the_public_key(),
        base64.urlsafe_b64encode(b"[" * 2900).decode().rstrip("=") + ".e30.AA",
        signed() + "x" * 5000,
    ],
)
def test_what_does_not_verify_is_invalid(token: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        VERIFIER.verify(token)
    assert not token or token not in str(caught.value)


def test_a_token_serves_its_scope_and_stream_alone() -> None:
    with pytest.raises(Forbidden):
        VERIFIER.authorize(signed(), ("publish",), "phien-hop")
    with pytest.raises(Forbidden):
        VERIFIER.authorize(signed(), ("view",), "another")
    assert VERIFIER.authorize(signed(stream="*"), ("view",), "another").stream == "*"


@given(st.text(max_size=300))
def test_any_text_is_invalid_and_nothing_else(text: str) -> None:
    with pytest.raises(InvalidToken):
        VERIFIER.verify(text)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, ""),
        ("", ""),
        ("Bearer", ""),
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("  BEARER   abc  ", "abc"),
        ("Basic abc", ""),
        ("abc", ""),
    ],
)
def test_the_scheme_is_read_in_any_case(header: str | None, token: str) -> None:
    assert bearer_token(header) == token
