"""What the router is told, as text."""

from __future__ import annotations

import pytest

from tests.netns.rules import Fault, Nat, dropped_packets, rules


def appended(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("-A")]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("vhub"), ["-A FORWARD -i vhub -j DROP", "-A FORWARD -o vhub -j DROP"]),
        (Fault("vhub", "up", "udp"), ["-A FORWARD -i vhub -p udp -j DROP"]),
        (Fault("vhub", "down", peer="vfar"), ["-A FORWARD -o vhub -i vfar -j DROP"]),
        (
            Fault("vhub", "up", "udp", port=7000),
            [
                "-A FORWARD -i vhub -p udp --sport 7000 -j DROP",
                "-A FORWARD -i vhub -p udp ! --sport 7000 --dport 7000 -j DROP",
            ],
        ),
        (
            Fault("vhub", "down", ratio=0.05),
            [
                "-A FORWARD -o vhub -m statistic --mode random --probability 0.05000000 -j DROP",
            ],
        ),
    ],
)
def test_a_fault_is_rules_of_the_router(fault: Fault, expected: list[str]) -> None:
    assert appended(rules([fault], [], ipv6=False)) == expected


@pytest.mark.parametrize("ratio", [0, -0.1, 1.1])
def test_a_ratio_that_cannot_be_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        Fault("vhub", ratio=ratio)


def test_without_faults_every_table_is_emptied() -> None:
    assert appended(rules([], [], ipv6=False)) == []
    assert rules([], [], ipv6=False).count("COMMIT") == 3
    assert rules([], [], ipv6=True).count("COMMIT") == 1


def test_generations_of_a_translator_have_ports_of_their_own() -> None:
    nats = [Nat("vhub", "10.0.0.1", "10.0.0.9", 1, 2, generation) for generation in range(80)]
    ports = [port for nat in nats for port in nat.udp_ports]
    assert ports == sorted(set(ports))
    assert ports[0] == 20_000
    assert ports[-1] == 59_999


def test_drops_are_counted_by_line() -> None:
    saved = (
        "[7:700] -A FORWARD -i vhub -j DROP\n"
        "[2:9] -A FORWARD -i vhub2 -j DROP\n"
        "[3:300] -A FORWARD -o vhub -p udp -m statistic --mode random --probability 0.1 -j DROP\n"
        "[9:1] -A FORWARD -i vhub -j ACCEPT\n"
    )
    assert dropped_packets(saved, "vhub") == 10
