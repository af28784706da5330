"""Issuing and checking tokens, the key file, and taking tokens back."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hub.revocation import REVOCATION_FILE, RevocationError, Revocations
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


def mine_and_verifier(folder: Path, revocations: Revocations) -> tuple[TokenIssuer, TokenVerifier]:
    mine = issuer(folder)
    return mine, TokenVerifier([mine.public_key], revocations.is_revoked)


async def test_all_older_tokens_of_a_subject_are_taken_back_and_no_others(tmp_path: Path) -> None:
    revocations = Revocations(MemoryStore())
    mine, verifier = mine_and_verifier(tmp_path, revocations)
    old = [mine.issue("view", "an-phu", "*", 60) for _ in range(2)]
    others = [mine.issue("view", "an-thanh", "*", 60), mine.issue("operate", "an-phu", "*", 60)]
    await revocations.revoke("view", "an-phu")
    others.append(mine.issue("view", "an-phu", "*", 60))
    for token in old:
        with pytest.raises(InvalidToken, match="revoked"):
            verifier.verify(token)
    for token in others:
        verifier.verify(token)


async def test_what_was_taken_back_stays_so_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data" / REVOCATION_FILE
    token = issuer(tmp_path).issue("view", "an-phu", "*", 60)
    await Revocations(MemoryStore(), path).revoke("view", "an-phu")
    _, verifier = mine_and_verifier(tmp_path, Revocations(MemoryStore(), path))
    with pytest.raises(InvalidToken, match="revoked"):
        verifier.verify(token)
    path.write_text("{")
    with pytest.raises(RevocationError, match=REVOCATION_FILE):
        Revocations(MemoryStore(), path)


async def test_other_processes_hear_of_it_through_the_store(tmp_path: Path) -> None:
    store = MemoryStore()
    here, there = Revocations(store), Revocations(store)
    mine, verifier = mine_and_verifier(tmp_path, there)
    token = mine.issue("view", "an-phu", "*", 60)
    await here.revoke("view", "an-phu")
    assert verifier.verify(token).subject == "an-phu"
    await there.refresh()
    with pytest.raises(InvalidToken, match="revoked"):
        verifier.verify(token)


@pytest.mark.parametrize("token_id", ["", "x", "view.an-phu", "view.an-phu.zz.0", "a.b.c.d.e", "…"])
async def test_an_id_of_another_shape_is_nobodys(token_id: str) -> None:
    revocations = Revocations(MemoryStore())
    await revocations.revoke("view", "an-phu")
    assert not revocations.is_revoked(token_id)
