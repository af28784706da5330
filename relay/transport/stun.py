"""STUN binding messages as ICE uses them (RFC 8489, RFC 8445 section 16): parse, check, build.

Only what connectivity checks and a question for one's address need, because every datagram of a
flood comes through here: no object per attribute, and the HMAC is not touched before the USERNAME
is known to be ours.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
import struct
from dataclasses import dataclass

COOKIE = 0x2112A442
HEADER_BYTES = 20
MAX_STUN_BYTES = 1280
"""No check comes near this; longer ones are refused unread."""

BINDING_REQUEST = 0x0001
BINDING_INDICATION = 0x0011
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

ROLE_CONFLICT = 487

_USERNAME = 0x0006
_MESSAGE_INTEGRITY = 0x0008
_ERROR_CODE = 0x0009
_XOR_MAPPED_ADDRESS = 0x0020
_PRIORITY = 0x0024
_USE_CANDIDATE = 0x0025
_FINGERPRINT = 0x8028
_ICE_CONTROLLED = 0x8029
_ICE_CONTROLLING = 0x802A

_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = 24
_FINGERPRINT_BYTES = 8
_FAMILY_V4 = 1
_FAMILY_V6 = 2

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_COOKIE_BYTES = struct.pack("!I", COOKIE)


class StunError(ValueError):
    """Bytes that are no usable STUN message."""


@dataclass(slots=True)
class StunMessage:
    """A parsed message. Fields are None or False where the attribute is absent.

    integrity_end: offset of MESSAGE-INTEGRITY, or -1; attributes behind it are not trusted and
    not read (RFC 8489 section 14.5).
    """

    kind: int
    transaction_id: bytes
    data: bytes
    username: str | None = None
    use_candidate: bool = False
    controlling: int | None = None
    controlled: int | None = None
    priority: int | None = None
    error_code: int | None = None
    mapped_address: tuple[str, int] | None = None
    integrity_end: int = -1

    def authentic(self, password: str) -> bool:
        """MESSAGE-INTEGRITY is there and made with this password."""
        at = self.integrity_end
        if at < 0:
            return False
        mac = self.data[at + 4 : at + _INTEGRITY_BYTES]
        return hmac.compare_digest(mac, _integrity(self.data[:at], password))


def parse_stun(data: bytes) -> StunMessage:
    """Raises StunError unless this is a whole, well-formed binding message.

    A FINGERPRINT, when present, must be right; unknown comprehension-required attributes are
    skipped, as every ICE stack does.
    """
    if not HEADER_BYTES <= len(data) <= MAX_STUN_BYTES:
        raise StunError("length")
    kind, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if cookie != COOKIE or length & 3 or length != len(data) - HEADER_BYTES:
        raise StunError("header")
    if kind not in (BINDING_REQUEST, BINDING_INDICATION, BINDING_SUCCESS, BINDING_ERROR):
        raise StunError("not a binding message")
    message = StunMessage(kind, transaction_id, data)
    at = HEADER_BYTES
    while at < len(data):
        if at + 4 > len(data):
            raise StunError("truncated attribute")
        attribute, size = _ATTRIBUTE.unpack_from(data, at)
        end = at + 4 + size
        if end > len(data):
            raise StunError("truncated attribute")
        if attribute == _FINGERPRINT:
            _check_fingerprint(data, at, size)
            break
        if message.integrity_end < 0:
            _read(message, attribute, data[at + 4 : end], at)
        at = end + (-size & 3)
    return message


def _read(message: StunMessage, attribute: int, value: bytes, at: int) -> None:
    """One attribute in front of MESSAGE-INTEGRITY."""
    if attribute == _USERNAME:
        try:
            message.username = value.decode()
        except UnicodeDecodeError as error:
            raise StunError("username") from error
    elif attribute == _MESSAGE_INTEGRITY:
        if len(value) != _INTEGRITY_BYTES - 4:
            raise StunError("integrity")
        message.integrity_end = at
    elif attribute == _USE_CANDIDATE:
        message.use_candidate = True
    elif attribute == _ICE_CONTROLLING:
        message.controlling = _fixed(value, 8)
    elif attribute == _ICE_CONTROLLED:
        message.controlled = _fixed(value, 8)
    elif attribute == _PRIORITY:
        message.priority = _fixed(value, 4)
    elif attribute == _ERROR_CODE:
        if len(value) < 4:
            raise StunError("error code")
        message.error_code = (value[2] & 7) * 100 + value[3]
    elif attribute == _XOR_MAPPED_ADDRESS:
        message.mapped_address = _xor_address(value, message.transaction_id)


def _fixed(value: bytes, size: int) -> int:
    if len(value) != size:
        raise StunError("attribute length")
    return int.from_bytes(value, "big")


def _check_fingerprint(data: bytes, at: int, size: int) -> None:
    if size != 4 or at + _FINGERPRINT_BYTES != len(data):
        raise StunError("fingerprint")
    if binascii.crc32(data[:at]) ^ _FINGERPRINT_XOR != int.from_bytes(data[at + 4 :], "big"):
        raise StunError("fingerprint")


def _integrity(covered: bytes, password: str) -> bytes:
    """HMAC-SHA1 over the message up to the attribute, its length counting the attribute."""
    length = len(covered) - HEADER_BYTES + _INTEGRITY_BYTES
    adjusted = covered[:2] + length.to_bytes(2, "big") + covered[4:]
    return hmac.digest(password.encode(), adjusted, "sha1")


def _xor(value: bytes, transaction_id: bytes) -> bytes:
    pad = (_COOKIE_BYTES + transaction_id)[: len(value)]
    return (int.from_bytes(value, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(value), "big")


def _xor_address(value: bytes, transaction_id: bytes) -> tuple[str, int]:
    if len(value) not in (8, 20) or value[1] != (_FAMILY_V4 if len(value) == 8 else _FAMILY_V6):
        raise StunError("mapped address")
    port = int.from_bytes(value[2:4], "big") ^ (COOKIE >> 16)
    return str(ipaddress.ip_address(_xor(value[4:], transaction_id))), port


def build_request(
    transaction_id: bytes,
    username: str,
    password: str,
    *,
    priority: int,
    tie_breaker: int,
    use_candidate: bool = False,
    controlling: bool = True,
) -> bytes:
    """A connectivity check of an agent (RFC 8445 section 7.2.2)."""
    role = _ICE_CONTROLLING if controlling else _ICE_CONTROLLED
    body = (
        _attribute(_USERNAME, username.encode())
        + _attribute(_PRIORITY, priority.to_bytes(4, "big"))
        + _attribute(role, tie_breaker.to_bytes(8, "big"))
    )
    if use_candidate:
        body += _attribute(_USE_CANDIDATE, b"")
    return _seal(BINDING_REQUEST, transaction_id, body, password)


def build_success(transaction_id: bytes, source: tuple[str, int], password: str) -> bytes:
    """The answer to a check; tells the address that it came from."""
    body = _mapped_address(transaction_id, source)
    return _seal(BINDING_SUCCESS, transaction_id, body, password)


def build_address_request(transaction_id: bytes) -> bytes:
    """What is my address? Without credentials (RFC 8489 section 7.2)."""
    return _HEADER.pack(BINDING_REQUEST, 0, COOKIE, transaction_id)


def build_address_answer(transaction_id: bytes, source: tuple[str, int]) -> bytes:
    """The answer to that, 32 bytes for IPv4 (RFC 8489 section 7.3.1)."""
    body = _mapped_address(transaction_id, source)
    return _HEADER.pack(BINDING_SUCCESS, len(body), COOKIE, transaction_id) + body


def _mapped_address(transaction_id: bytes, source: tuple[str, int]) -> bytes:
    address = ipaddress.ip_address(source[0])
    family = _FAMILY_V4 if address.version == 4 else _FAMILY_V6
    value = struct.pack("!BBH", 0, family, source[1] ^ (COOKIE >> 16)) + _xor(
        address.packed, transaction_id
    )
    return _attribute(_XOR_MAPPED_ADDRESS, value)


def build_error(transaction_id: bytes, code: int, reason: str, password: str) -> bytes:
    """A refused check, e.g. 487 Role Conflict (RFC 8445 section 7.3.1.1)."""
    value = struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
    return _seal(BINDING_ERROR, transaction_id, _attribute(_ERROR_CODE, value), password)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) & 3)


def _seal(kind: int, transaction_id: bytes, body: bytes, password: str) -> bytes:
    message = _HEADER.pack(kind, len(body), COOKIE, transaction_id) + body
    message += _attribute(_MESSAGE_INTEGRITY, _integrity(message, password))
    length = len(message) - HEADER_BYTES + _FINGERPRINT_BYTES
    message = message[:2] + length.to_bytes(2, "big") + message[4:]
    crc = binascii.crc32(message) ^ _FINGERPRINT_XOR
    return message + _attribute(_FINGERPRINT, crc.to_bytes(4, "big"))
