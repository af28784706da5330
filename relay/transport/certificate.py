"""The self-signed certificate that DTLS-SRTP authenticates by fingerprint (RFC 8827 6.5)."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-384": hashlib.sha384, "sha-512": hashlib.sha512}
_LIFETIME_DAYS = 365


class DtlsCertificate:
    """An ECDSA P-256 key and its certificate; one per process serves every peer."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key = key
        self.certificate = certificate
        self.fingerprint = fingerprint_of(
            certificate.public_bytes(serialization.Encoding.DER), "sha-256"
        )
        """sha-256, upper hex with colons (RFC 8122 section 5)."""

    @classmethod
    def generate(cls) -> DtlsCertificate:
        """A new key; the name says nothing about the machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wardcast")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(secrets.randbits(63) | 1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_LIFETIME_DAYS))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)


def fingerprint_of(der: bytes, algorithm: str) -> str:
    """Upper hex with colons. Raises KeyError for an algorithm that we do not trust."""
    digest = _ALGORITHMS[algorithm](der).hexdigest().upper()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def fingerprint_matches(der: bytes, offered: Sequence[tuple[str, str]]) -> bool:
    """True if any offered fingerprint of a trusted algorithm is the certificate's.

    Every one is compared, in constant time; sha-1 and unknown algorithms never match.
    """
    matches = False
    for algorithm, value in offered:
        if algorithm.lower() in _ALGORITHMS:
            ours = fingerprint_of(der, algorithm.lower())
            matches |= hmac.compare_digest(ours.encode(), value.upper().encode())
    return matches
