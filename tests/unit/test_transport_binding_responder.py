"""Who is told his address, and how often."""

from __future__ import annotations

import pytest

from relay.transport.binding_responder import (
    ANSWERS_PER_HOST_PER_S,
    ANSWERS_PER_S,
    WINDOW_MS,
    BindingResponder,
    asks_address,
)
from relay.transport.stun import (
    build_address_answer,
    build_address_request,
    build_request,
    parse_stun,
)

TID = bytes(range(12))
QUESTION = build_address_request(TID)
UNSIGNED = bytes.fromhex("000100082112a442") + TID + bytes.fromhex("00060004") + b"us:r"
SIGNED_BY_NOBODY = bytes.fromhex("000100182112a442") + TID + bytes.fromhex("00080014") + bytes(20)


@pytest.mark.parametrize(
    ("data", "asks"),
    [
        (QUESTION, True),
        (UNSIGNED, False),
        (SIGNED_BY_NOBODY, False),
        (build_request(TID, "us:them", "secret", priority=1, tie_breaker=1), False),
        (build_address_answer(TID, ("192.0.2.1", 1)), False),
    ],
)
def test_only_a_request_without_credentials_asks(data: bytes, asks: bool) -> None:
    assert asks_address(parse_stun(data)) is asks


def test_the_answer_names_the_one_who_asked() -> None:
    answer = BindingResponder().answer(parse_stun(QUESTION), ("192.0.2.9", 5000), 0.0)
    assert answer is not None
    told = parse_stun(answer)
    assert (told.transaction_id, told.mapped_address) == (TID, ("192.0.2.9", 5000))
    assert len(answer) <= 2 * len(QUESTION)


def test_a_host_that_asks_too_much_leaves_the_rest_their_answers() -> None:
    responder = BindingResponder()
    message = parse_stun(QUESTION)
    heard = [responder.answer(message, ("192.0.2.1", n), 0.0) for n in range(ANSWERS_PER_S * 2)]
    assert sum(a is not None for a in heard) == ANSWERS_PER_HOST_PER_S
    assert responder.answer(message, ("192.0.2.2", 1), 1.0) is not None
    assert responder.answer(message, ("192.0.2.1", 1), WINDOW_MS - 1) is None
    assert responder.answer(message, ("192.0.2.1", 1), WINDOW_MS) is not None


def test_all_together_have_their_bound_and_a_second_later_all_is_forgotten() -> None:
    responder = BindingResponder()
    message = parse_stun(QUESTION)
    hosts = [f"10.0.{n >> 8}.{n & 255}" for n in range(1000)]
    heard = [responder.answer(message, (host, 1), 0.0) for host in hosts]
    assert sum(a is not None for a in heard) == ANSWERS_PER_S
    assert responder.answer(message, (hosts[-1], 1), WINDOW_MS) is not None
