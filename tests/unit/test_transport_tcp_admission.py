"""How many connections stay: floods are bounded, honest newcomers get in."""

from __future__ import annotations

from relay.transport.tcp_admission import (
    MAX_CONNECTIONS,
    MAX_PER_ADDRESS,
    MAX_UNNAMED,
    MAX_UNNAMED_PER_ADDRESS,
    Admission,
)


def test_idle_connections_of_one_address_are_few() -> None:
    admission = Admission()
    for number in range(MAX_UNNAMED_PER_ADDRESS):
        assert admission.admits("198.51.100.1")
        admission.enter(number, "198.51.100.1")
    assert not admission.admits("198.51.100.1")
    assert admission.admits("198.51.100.2")
    admission.leave(0)
    assert admission.admits("198.51.100.1")


def test_named_ones_make_room_for_others_of_their_address() -> None:
    admission = Admission()
    for number in range(MAX_PER_ADDRESS):
        assert admission.admits("198.51.100.1")
        admission.enter(number, "198.51.100.1")
        admission.name(number)
    assert not admission.admits("198.51.100.1")
    assert (admission.named, admission.unnamed) == (MAX_PER_ADDRESS, 0)


def test_a_flood_from_everywhere_pushes_out_its_own_oldest() -> None:
    admission = Admission()
    gone = []
    for number in range(3 * MAX_UNNAMED):
        host = f"10.0.{number // 250}.{number % 250}"
        assert admission.admits(host)
        crowded = admission.enter(number, host)
        if crowded is not None:
            admission.leave(crowded)
            gone.append(crowded)
    assert gone == list(range(2 * MAX_UNNAMED))
    assert admission.unnamed == MAX_UNNAMED


def test_all_together_are_bounded_and_nothing_is_kept_of_those_that_left() -> None:
    admission = Admission()
    for number in range(MAX_CONNECTIONS):
        admission.enter(number, f"10.0.{number // 250}.{number % 250}")
        admission.name(number)
    assert not admission.admits("192.0.2.1")
    assert not Admission(limit=0).admits("192.0.2.1")
    for number in range(MAX_CONNECTIONS):
        admission.leave(number)
        admission.leave(number)
    assert (admission.named, admission.unnamed) == (0, 0)
    assert not admission._per_host
    assert not admission._unnamed_per_host
