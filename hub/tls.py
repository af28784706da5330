"""TLS for the pages: given certificate files, or a certificate made at first start.

Browsers give the camera only to HTTPS or localhost; a self-made certificate costs one warning in
the browser, a given one none.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LIFETIME_DAYS = 397
RENEW_BEFORE_DAYS = 30


class TlsError(ValueError):
    """Certificate files that cannot be used; the text names them."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server context from PEM files. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"TLS files {certificate} and {key} cannot be used: {error}") from error
    return context


def self_made(directory: Path, addresses: tuple[str, ...]) -> tuple[Path, Path]:
    """(certificate, key) files made by us, renewed when old or when an address is missing."""
    certificate, key = directory / "tls-cert.pem", directory / "tls-key.pem"
    if not (certificate.exists() and key.exists() and _still_good(certificate, addresses)):
        directory.mkdir(parents=True, exist_ok=True)
        _write_pair(certificate, key, addresses)
    return certificate, key


def _still_good(path: Path, addresses: tuple[str, ...]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_BEFORE_DAYS)
    listed = {str(a) for a in names.value.get_values_for_type(x509.IPAddress)}
    return certificate.not_valid_after_utc > soon and set(addresses) <= listed


def _write_pair(certificate_path: Path, key_path: Path, addresses: tuple[str, ...]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wardcast")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = {"localhost", socket.gethostname()}
    literals = {*addresses, "127.0.0.1", "::1"}
    alternatives: list[x509.GeneralName] = [x509.DNSName(h) for h in sorted(hosts) if h.isascii()]
    alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in sorted(literals)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=LIFETIME_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
