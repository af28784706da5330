"""The few STUN messages of an ICE connectivity check (RFC 8489, RFC 8445 section 7)."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import zlib

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
_COOKIE = 0x2112A442
_USERNAME, _INTEGRITY, _XOR_MAPPED = 0x0006, 0x0008, 0x0020
_PRIORITY, _USE_CANDIDATE, _FINGERPRINT, _CONTROLLING = 0x0024, 0x0025, 0x8028, 0x802A
_FINGERPRINT_XOR = 0x5354554E
_HOST_PRIORITY = 0x7EFFFFFF


def is_stun(datagram: bytes) -> bool:
    return len(datagram) >= 20 and datagram[0] < 4 and datagram[4:8] == b"\x21\x12\xa4\x42"


def message_type(datagram: bytes) -> int:
    return int.from_bytes(datagram[:2], "big")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _finish(kind: int, transaction: bytes, attributes: bytes, key: bytes) -> bytes:
    """Header, attributes, MESSAGE-INTEGRITY and FINGERPRINT."""
    head = struct.pack("!HHI", kind, len(attributes) + 24, _COOKIE) + transaction
    digest = hmac.digest(key, head + attributes, hashlib.sha1)
    body = attributes + _attribute(_INTEGRITY, digest)
    head = struct.pack("!HHI", kind, len(body) + 8, _COOKIE) + transaction
    crc = zlib.crc32(head + body) ^ _FINGERPRINT_XOR
    return head + body + _attribute(_FINGERPRINT, struct.pack("!I", crc))


def check_request(username: str, remote_pwd: str, tie_breaker: bytes) -> bytes:
    """A nominating check of a controlling agent. username: "remote-ufrag:local-ufrag"."""
    attributes = (
        _attribute(_USERNAME, username.encode())
        + _attribute(_PRIORITY, struct.pack("!I", _HOST_PRIORITY))
        + _attribute(_CONTROLLING, tie_breaker)
        + _attribute(_USE_CANDIDATE, b"")
    )
    return _finish(BINDING_REQUEST, os.urandom(12), attributes, remote_pwd.encode())


def check_response(request: bytes, address: tuple[str, int], local_pwd: str) -> bytes:
    """The answer to a peer's check."""
    octets = bytes(int(part) for part in address[0].split("."))
    mask = struct.pack("!I", _COOKIE)
    value = struct.pack("!BBH", 0, 1, address[1] ^ (_COOKIE >> 16))
    value += bytes(a ^ b for a, b in zip(octets, mask, strict=True))
    attributes = _attribute(_XOR_MAPPED, value)
    return _finish(BINDING_SUCCESS, request[8:20], attributes, local_pwd.encode())
