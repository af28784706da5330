"""The self-made certificate: made once, made anew when it must be, usable by a real TLS client."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from hub import tls
from hub.tls import TlsError, self_made, server_context


def names_of(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    return addresses | set(names.get_values_for_type(x509.DNSName))


def test_it_covers_this_machine_and_its_key_is_private(tmp_path: Path) -> None:
    certificate, key = self_made(tmp_path, ("192.0.2.7", "127.0.0.1"))
    assert {"localhost", "127.0.0.1", "::1", "192.0.2.7"} <= names_of(certificate)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_it_stays_while_it_is_good(tmp_path: Path) -> None:
    certificate, _ = self_made(tmp_path, ("192.0.2.7",))
    before = certificate.read_bytes()
    self_made(tmp_path, ("192.0.2.7",))
    assert certificate.read_bytes() == before
    self_made(tmp_path, ("192.0.2.8",))
    assert "192.0.2.8" in names_of(certificate)


@pytest.mark.parametrize("wreck", ["expiring", "broken", "keyless"])
def test_it_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wreck: str) -> None:
    with monkeypatch.context() as patch:
        if wreck == "expiring":
            patch.setattr(tls, "LIFETIME_DAYS", tls.RENEW_BEFORE_DAYS - 1)
        certificate, key = self_made(tmp_path, ())
    if wreck == "broken":
        certificate.write_text("not a certificate")
    elif wreck == "keyless":
        key.unlink()
    before = certificate.read_bytes()
    self_made(tmp_path, ())
    assert certificate.read_bytes() != before
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    left = loaded.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert left.days > tls.RENEW_BEFORE_DAYS


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str | None:
    """TLS in memory; returns the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname=host)
    done = set[ssl.SSLObject]()
    for _ in range(10):
        for side in (here, there):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert len(done) == 2
    return here.version()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "192.0.2.7"])
def test_a_client_that_trusts_it_connects(tmp_path: Path, host: str) -> None:
    certificate, key = self_made(tmp_path, ("192.0.2.7",))
    client = ssl.create_default_context(cafile=str(certificate))
    assert shake_hands(server_context(certificate, key), client, host) == "TLSv1.3"


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    certificate, _ = self_made(tmp_path / "a", ())
    _, other_key = self_made(tmp_path / "b", ())
    with pytest.raises(TlsError, match="tls-key"):
        server_context(certificate, other_key)
    with pytest.raises(TlsError, match="none"):
        server_context(tmp_path / "none.pem", other_key)
