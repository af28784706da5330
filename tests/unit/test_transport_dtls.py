"""DTLS sessions joined by function calls: loss, roles, fingerprints, goodbye."""

from __future__ import annotations

import random

import pytest

from relay.transport.certificate import DtlsCertificate, fingerprint_matches, fingerprint_of
from relay.transport.dtls import MTU_BYTES, RESEND_MS, DtlsContext, DtlsSession, DtlsState
from relay.transport.parameters import CloseReason

A, B = DtlsCertificate.generate(), DtlsCertificate.generate()
CONTEXT_A, CONTEXT_B = DtlsContext.of(A), DtlsContext.of(B)


def pair(server_trusts: str = B.fingerprint) -> tuple[DtlsSession, DtlsSession]:
    server = DtlsSession(CONTEXT_A, "server", [("sha-256", server_trusts)])
    client = DtlsSession(CONTEXT_B, "client", [("sha-256", A.fingerprint)])
    return server, client


def run(server: DtlsSession, client: DtlsSession, *, loss: float = 0.0, seed: int = 0) -> float:
    """Exchange until both are through or closed; the virtual time that it took."""
    rng = random.Random(seed)
    now_ms = 0.0
    server.start(now_ms)
    client.start(now_ms)
    while DtlsState.HANDSHAKE in (server.state, client.state) and now_ms < 30_000:
        moved = False
        for one, other in ((client, server), (server, client)):
            for datagram in one.take():
                assert len(datagram) <= MTU_BYTES
                if rng.random() >= loss:
                    other.feed(datagram, now_ms)
                    moved = True
        if not moved:
            now_ms = min(server.next_deadline_ms(), client.next_deadline_ms())
            for session in (server, client):
                if session.next_deadline_ms() <= now_ms:
                    session.on_deadline(now_ms)
    return now_ms


def test_handshake_gives_both_the_same_keys_crosswise() -> None:
    server, client = pair()
    assert run(server, client) == 0.0
    assert server.result is not None
    assert client.result is not None
    assert server.result.profile == client.result.profile == "AEAD_AES_128_GCM"
    assert server.result.keys.outbound == client.result.keys.inbound
    assert server.result.keys.inbound == client.result.keys.outbound
    assert server.result.keys.outbound != server.result.keys.inbound


@pytest.mark.parametrize("seed", range(12))
def test_handshake_survives_loss(seed: int) -> None:
    server, client = pair()
    run(server, client, loss=0.3, seed=seed)
    assert (server.state, client.state) == (DtlsState.CONNECTED, DtlsState.CONNECTED)


def test_ignored_first_hello_is_sent_again_soon() -> None:
    server, client = pair()
    client.start(0.0)
    (hello,) = client.take()
    assert client.next_deadline_ms() == RESEND_MS[0]
    client.on_deadline(RESEND_MS[0])
    assert client.take() == [hello]
    assert client.next_deadline_ms() == RESEND_MS[1]
    server.start(150.0)
    server.feed(hello, 150.0)
    for _ in range(4):
        for datagram in server.take():
            client.feed(datagram, 160.0)
        for datagram in client.take():
            server.feed(datagram, 160.0)
    assert server.state is client.state is DtlsState.CONNECTED


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512", "SHA-256"])
def test_any_trusted_algorithm_will_do(algorithm: str) -> None:
    der = b"certificate"
    value = fingerprint_of(der, algorithm.lower())
    assert fingerprint_matches(der, [("sha-1", "00"), (algorithm, value.lower())])
    assert not fingerprint_matches(der, [(algorithm, value[:-1] + "x")])


def test_sha1_is_never_enough() -> None:
    assert not fingerprint_matches(b"x", [("sha-1", "11:F6:AD:8E:C5:2A:29:84:AB:AA")])
    assert not fingerprint_matches(b"x", [])
    assert not fingerprint_matches(b"x", [("sha-256", "é")])


def test_wrong_fingerprint_closes_and_tells() -> None:
    server, client = pair(server_trusts=A.fingerprint)
    run(server, client)
    assert server.close_reason is CloseReason.FINGERPRINT_MISMATCH
    assert server.result is None
    for datagram in server.take():
        client.feed(datagram, 1.0)
    assert client.close_reason is CloseReason.PEER_CLOSED


def test_close_notify_is_heard() -> None:
    server, client = pair()
    run(server, client)
    client.close()
    for datagram in client.take():
        server.feed(datagram, 1.0)
    assert server.state is DtlsState.CLOSED
    assert server.close_reason is CloseReason.PEER_CLOSED


def test_forged_alert_is_ignored() -> None:
    server, client = pair()
    run(server, client)
    for alert in (b"\x01\x00", b"\x02\x28"):
        plain = b"\x15\xfe\xfd" + bytes(2) + bytes(6) + b"\x00\x02" + alert
        sealed = b"\x15\xfe\xfd\x00\x01" + b"\0\0\0\0\0\x09" + b"\x00\x1a" + bytes(26)
        server.feed(plain, 1.0)
        server.feed(sealed, 1.0)
    assert server.state is DtlsState.CONNECTED


def test_hold_until_started_and_nothing_after_close() -> None:
    server, client = pair()
    client.start(0.0)
    (hello,) = client.take()
    assert not server.feed(hello, 0.0)
    server.start(0.0)
    server.close()
    assert not server.feed(hello, 0.0)
    assert server.take() == []


def test_context_is_shared_per_certificate() -> None:
    assert DtlsContext.of(A) is CONTEXT_A
    assert CONTEXT_A is not CONTEXT_B
