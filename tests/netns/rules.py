"""What the router does to packets, as text for iptables-restore. Pure.

All faults are rules of the router's FORWARD chain: the hosts at both ends see nothing of them, no
ICMP, no error of send(2), which rules of their own would give them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "both"]
"""up: from the host, down: to the host."""
NAT_PORTS = 500
"""A mapping's ports: a generation has other ones than its neighbours."""
_FIRST_NAT_PORT = 20_000
_GENERATIONS = 80


@dataclass(frozen=True)
class Fault:
    """Packets of one host that are dropped.

    device: the router's end of the host's line. protocol: "" is all. port: at either end, 0 is
    any. peer: the router's device of the other host, "" is any. ratio: 0 < ratio <= 1.
    """

    device: str
    direction: Direction = "both"
    protocol: Literal["", "udp", "tcp"] = ""
    port: int = 0
    peer: str = ""
    ratio: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio {self.ratio}: more than 0, at most 1")


@dataclass(frozen=True)
class Nat:
    """A host behind an address translator.

    inside: its own address, outside: the one that others see. zone: conntrack's; a new one
    forgets the mappings. generation: chooses the UDP ports.
    """

    device: str
    inside: str
    outside: str
    udp_zone: int
    zone: int
    generation: int = 0

    @property
    def udp_ports(self) -> tuple[int, int]:
        """First and last that others see."""
        first = _FIRST_NAT_PORT + self.generation % _GENERATIONS * NAT_PORTS
        return first, first + NAT_PORTS - 1


def rules(faults: Sequence[Fault], nats: Sequence[Nat], *, ipv6: bool) -> str:
    """The whole tables, for iptables-restore: replaced at once, nothing passes in between."""
    drops = [line for fault in faults for line in _drops(fault)]
    drops += [f"-A FORWARD -i {nat.device} -j DROP" for nat in nats if ipv6]
    drops += [f"-A FORWARD -o {nat.device} -j DROP" for nat in nats if ipv6]
    tables = [_table("filter", ("INPUT", "FORWARD", "OUTPUT"), drops)]
    if not ipv6:
        zones = [line for nat in nats for line in _zones(nat)]
        mapped = [line for nat in nats for line in _mappings(nat)]
        chains = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")
        tables.append(_table("raw", ("PREROUTING", "OUTPUT"), zones))
        tables.append(_table("nat", chains, mapped))
    return "".join(tables)


def dropped_packets(saved: str, device: str) -> int:
    """Packets that the DROP rules of a device's faults have counted. saved: iptables-save -c."""
    hits = re.findall(rf"^\[(\d+):\d+\] -A FORWARD.* -[io] {device} .*-j DROP$", saved, re.M)
    return sum(map(int, hits))


def _table(name: str, chains: Sequence[str], lines: Sequence[str]) -> str:
    heads = [f":{chain} ACCEPT [0:0]" for chain in chains]
    return "\n".join([f"*{name}", *heads, *lines, "COMMIT"]) + "\n"


def _drops(fault: Fault) -> Iterator[str]:
    for way, (ours, theirs) in (("up", ("-i", "-o")), ("down", ("-o", "-i"))):
        if fault.direction not in (way, "both"):
            continue
        where = f"{ours} {fault.device}" + (f" {theirs} {fault.peer}" if fault.peer else "")
        for match in _matches(fault):
            yield f"-A FORWARD {where}{match}{_chance(fault.ratio)} -j DROP"


def _matches(fault: Fault) -> Iterator[str]:
    if not fault.port:
        yield f" -p {fault.protocol}" if fault.protocol else ""
        return
    for protocol in (fault.protocol,) if fault.protocol else ("udp", "tcp"):
        yield f" -p {protocol} --sport {fault.port}"
        # Not both at once: a packet between two such ports would have two chances to be lost.
        yield f" -p {protocol} ! --sport {fault.port} --dport {fault.port}"


def _chance(ratio: float) -> str:
    return "" if ratio == 1 else f" -m statistic --mode random --probability {ratio:.8f}"


def _zones(nat: Nat) -> Iterator[str]:
    for end in (f"-i {nat.device}", f"-d {nat.outside}"):
        yield f"-A PREROUTING {end} -p udp -j CT --zone {nat.udp_zone}"
        yield f"-A PREROUTING {end} ! -p udp -j CT --zone {nat.zone}"


def _mappings(nat: Nat) -> Iterator[str]:
    first, last = nat.udp_ports
    begin = f"-A POSTROUTING -s {nat.inside} ! -o {nat.device}"
    yield f"{begin} -p udp -j SNAT --to-source {nat.outside}:{first}-{last}"
    yield f"{begin} -j SNAT --to-source {nat.outside}"
