"""Issuing and checking tokens, the key file, and taking tokens back."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.revocation import Revocations
from hub.store.memory import MemoryStore
from hub.tokens import KEY_FILE, KeyFileError, TokenIssuer, load_or_create_key
from relay.signalling.auth import Forbidden, InvalidToken, TokenVerifier


def issuer(folder: Path) -> TokenIssuer:
    return TokenIssuer(load_or_create_key(folder / KEY_FILE))


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    first = issuer(tmp_path / "data")
    path = tmp_path / "data" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    token = first.issue("view", "an-phu", "*", 60)
    grant = TokenVerifier([issuer(tmp_path / "data").public_key]).verify(token)
    assert (grant.scope, grant.subject, grant.stream) == ("view", "an-phu", "*")


def test_a_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE
    path.write_text("not a key")
    with pytest.raises(KeyFileError, match=KEY_FILE):
        load_or_create_key(path)
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        other.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with pytest.raises(KeyFileError, match="Ed25519"):
        load_or_create_key(path)


def test_scope_stream_expiry_and_signer_count(tmp_path: Path) -> None:
    mine = issuer(tmp_path / "a")
    verifier = TokenVerifier([mine.public_key])
    publish = mine.issue("publish", "studio", "phien-hop", 60)
    assert verifier.authorize(publish, ("publish",), "phien-hop").subject == "studio"
    with pytest.raises(Forbidden):
        verifier.authorize(publish, ("publish",), "du-phong")
    with pytest.raises(Forbidden):
        verifier.authorize(publish, ("operate",), "phien-hop")
    with pytest.raises(InvalidToken, match="expired"):
        verifier.verify(mine.issue("view", "an-phu", "*", -60))
    with pytest.raises(InvalidToken):
        verifier.verify(issuer(tmp_path / "b").issue("view", "an-phu", "*", 60))


def test_every_token_has_an_id_of_its_own(tmp_path: Path) -> None:
    mine = issuer(tmp_path)
    verifier = TokenVerifier([mine.public_key])
    ids = {verifier.verify(mine.issue("view", "an-phu", "*", 60)).token_id for _ in range(50)}
    assert len(ids) == 50


async def test_a_token_taken_back_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    revocations = Revocations(store)
    mine = issuer(tmp_path)
    verifier = TokenVerifier([mine.public_key], revocations.is_revoked)
    token, other = (mine.issue("view", "an-phu", "*", 60) for _ in range(2))
    await revocations.revoke(verifier.verify(token).token_id, 60)
    with pytest.raises(InvalidToken, match="revoked"):
        verifier.verify(token)
    assert verifier.verify(other).subject == "an-phu"


async def test_other_processes_hear_of_it_through_the_store(tmp_path: Path) -> None:
    clock = [100.0]
    store = MemoryStore(lambda: clock[0])
    here, there = Revocations(store), Revocations(store)
    await here.revoke("id-1", 60)
    assert not there.is_revoked("id-1")
    await there.refresh()
    assert there.is_revoked("id-1")
    clock[0] += 61
    await there.refresh()
    assert not there.is_revoked("id-1")
