"""STUN messages against an independent implementation (aioice) and RFC 5769's vectors."""

from __future__ import annotations

import aioice.stun
import pytest

from relay.transport.stun import (
    BINDING_ERROR,
    BINDING_REQUEST,
    BINDING_SUCCESS,
    StunError,
    build_address_answer,
    build_address_request,
    build_error,
    build_request,
    build_success,
    parse_stun,
)

TID = bytes(range(12))

# RFC 5769 section 2.1: sample request, password VOkJxbRl1RmTxUk/WvJxBt.
RFC5769_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
# RFC 5769 section 2.2: sample IPv4 response.
RFC5769_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"


def test_rfc5769_request() -> None:
    message = parse_stun(RFC5769_REQUEST)
    assert message.kind == BINDING_REQUEST
    assert message.username == "evtj:h6vY"
    assert message.priority == 0x6E0001FF
    assert message.controlled == 0x932FF9B151263B36
    assert message.authentic(PASSWORD)
    assert not message.authentic("other")


def test_rfc5769_response() -> None:
    message = parse_stun(RFC5769_RESPONSE)
    assert message.kind == BINDING_SUCCESS
    assert message.mapped_address == ("192.0.2.1", 32853)
    assert message.authentic(PASSWORD)


@pytest.mark.parametrize("address", [("192.0.2.7", 4242), ("2001:db8::7", 4243)])
def test_what_we_build_another_stack_reads(address: tuple[str, int]) -> None:
    data = build_success(TID, address, "secret")
    theirs = aioice.stun.parse_message(data)
    assert theirs.check_message_integrity(b"secret")
    assert theirs.attributes["XOR-MAPPED-ADDRESS"] == address
    ours = parse_stun(data)
    assert (ours.mapped_address, ours.authentic("secret")) == (address, True)


def test_request_has_what_a_check_needs() -> None:
    data = build_request(
        TID, "remote:local", "secret", priority=77, tie_breaker=1 << 63, use_candidate=True
    )
    theirs = aioice.stun.parse_message(data)
    assert theirs.attributes["USERNAME"] == "remote:local"
    assert theirs.attributes["ICE-CONTROLLING"] == 1 << 63
    assert "USE-CANDIDATE" in theirs.attributes
    assert theirs.check_message_integrity(b"secret")
    ours = parse_stun(data)
    assert (ours.username, ours.use_candidate, ours.priority) == ("remote:local", True, 77)


def test_error_code() -> None:
    message = parse_stun(build_error(TID, 487, "Role Conflict", "secret"))
    assert (message.kind, message.error_code) == (BINDING_ERROR, 487)


def test_every_flipped_bit_in_front_of_the_fingerprint_is_noticed() -> None:
    data = build_request(TID, "a:b", "secret", priority=1, tie_breaker=2)
    for bit in range((len(data) - 8) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        try:
            message = parse_stun(bytes(broken))
        except StunError:
            continue
        assert not message.authentic("secret"), bit


def test_attributes_behind_integrity_are_not_read() -> None:
    message = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, TID, {"USERNAME": "a:b"}
    )
    message.add_message_integrity(b"secret")
    data = bytes(message)[:-8] + b"\x00\x25\x00\x00"
    data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
    parsed = parse_stun(data)
    assert parsed.authentic("secret")
    assert not parsed.use_candidate


def test_message_without_integrity_is_never_authentic() -> None:
    message = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, TID, {"USERNAME": "a:b"}
    )
    assert not parse_stun(bytes(message)).authentic("")


@pytest.mark.parametrize("address", [("192.0.2.7", 4242), ("2001:db8::7", 4243)])
def test_an_address_is_told_without_credentials(address: tuple[str, int]) -> None:
    asked = aioice.stun.parse_message(build_address_request(TID))
    assert asked.message_method == aioice.stun.Method.BINDING
    assert asked.message_class == aioice.stun.Class.REQUEST
    answer = aioice.stun.parse_message(build_address_answer(TID, address))
    assert answer.message_class == aioice.stun.Class.RESPONSE
    assert answer.transaction_id == TID
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == address
    assert "MESSAGE-INTEGRITY" not in answer.attributes
    own = parse_stun(build_address_answer(TID, address))
    assert (own.kind, own.mapped_address) == (BINDING_SUCCESS, address)
