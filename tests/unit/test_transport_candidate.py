"""Candidate lines and priorities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.transport.candidate import Candidate, local_candidates, machine_addresses


def test_line_round_trip() -> None:
    line = "candidate:7 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active"
    candidate = Candidate.parse(line)
    assert candidate.tcptype == "active"
    assert candidate.to_sdp() == line
    assert Candidate.parse("a=" + line + "\r\n") == candidate


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("candidate:1 1 UDP 1 192.0.2.1 5 typ host generation 0 network-id 1", ("192.0.2.1", 5)),
        ("candidate:1 1 udp 1 2001:DB8::0:1 5 typ srflx raddr ::1 rport 9", ("2001:db8::1", 5)),
        ("candidate:1 1 udp 1 5f2c.local 5 typ host", None),
        ("candidate:1 2 udp 1 192.0.2.1 5 typ host", None),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active", None),
        ("candidate:1 1 udp 1 224.0.0.1 5 typ host", None),
        ("candidate:1 1 udp 1 0.0.0.0 5 typ host", None),
    ],
)
def test_address_is_there_only_where_a_datagram_can_go(
    line: str, address: tuple[str, int] | None
) -> None:
    assert Candidate.parse(line).address == address


@pytest.mark.parametrize(
    "line",
    [
        "",
        "candidate:1 1 udp 1 192.0.2.1 5",
        "candidate:1 1 udp 1 192.0.2.1 5 type host",
        "candidate:1 1 udp 1 192.0.2.1 5 typ other",
        "candidate:1 0 udp 1 192.0.2.1 5 typ host",
        "candidate:1 1 udp 4294967296 192.0.2.1 5 typ host",
        "candidate:1 1 udp 1 192.0.2.1 65536 typ host",
        "candidate:1 1 udp ¹ 192.0.2.1 5 typ host",
        "candidate:1 1 udp 1 " + "x" * 600 + " 5 typ host",
    ],
)
def test_bad_line_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError):
        Candidate.parse(line)


@given(st.text(max_size=200))
def test_any_text_parses_or_is_a_value_error(text: str) -> None:
    try:
        Candidate.parse(text)
    except ValueError:
        return


def test_announced_addresses_stand_in_for_our_own() -> None:
    first, second = local_candidates(["10.0.0.1"], 9, announced=["198.51.100.1", "2001:db8::1"])
    assert (first.host, first.port, second.host) == ("198.51.100.1", 9, "2001:db8::1")
    assert first.priority > second.priority
    with pytest.raises(ValueError):
        local_candidates(["hub.example"], 9)


def test_machine_addresses_end_with_loopback() -> None:
    addresses = machine_addresses()
    assert "127.0.0.1" in addresses
    assert not any(a.lower().startswith("fe80") for a in addresses)
    loopback = [a in ("127.0.0.1", "::1") for a in addresses]
    assert loopback == sorted(loopback)
