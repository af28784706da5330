"""A small network inside this machine: hosts with a line each, joined by a router.

`async with lan() as net:` then `await net.host("hub")`. A host is a namespace with one interface,
`eth0`, an IPv4 and an IPv6 address; this process reaches every host, as from one more line. Faults
are done by the router (rules.py). docs/testing-networks.md shows what can be done.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ipaddress
import itertools
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.netns import namespaces
from tests.netns.commands import ip, run
from tests.netns.processes import ROOT, HostProcess
from tests.netns.rules import Direction, Fault, Nat, dropped_packets, rules

DEFAULT_MTU = 1500
MIN_MTU_IPV6 = 1280
FIRST_HOST = 10
LAST_HOST = 99
FIRST_OUTSIDE = 100
"""Of the addresses that hosts behind a translator are seen from."""
LAST_OUTSIDE = 254
QUEUE_MS = 100.0
BURST_MS = 10.0
MIN_BURST_BYTES = 16_000
_GATE_IPV6 = "fe80::1"
"""The router's, on every line."""
_SETTINGS = {
    "ipv4/ip_forward": 1,
    "ipv6/conf/all/forwarding": 1,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
}


class Lan:
    """Made by `lan()`."""

    def __init__(self, token: str, subnet: int) -> None:
        self.prefix = namespaces.own_prefix(token)
        self.router = f"{self.prefix}-router"
        self.ipv4 = ipaddress.IPv4Network(f"10.{128 + (subnet >> 8)}.{subnet & 255}.0/24")
        self.ipv6 = ipaddress.IPv6Network(f"fd77:{token}:{subnet:x}::/64")
        self.hosts: dict[str, Host] = {}
        self._numbers = itertools.count(FIRST_HOST)
        self._outside = itertools.cycle(range(FIRST_OUTSIDE, LAST_OUTSIDE + 1))
        self._zones = itertools.count(1)
        self._device_here = f"wc{token}"
        self._changing = asyncio.Lock()

    async def host(self, name: str) -> Host:
        """A new host. name: ASCII letters and digits, at most 12 of them."""
        if not (name.isascii() and name.isalnum() and len(name) <= 12) or name in self.hosts:
            raise ValueError(f"host {name!r}: the name is taken or cannot be one")
        number = next(self._numbers)
        if number > LAST_HOST:
            raise ValueError(f"more than {LAST_HOST - FIRST_HOST + 1} hosts")
        host = Host(self, name, str(self.ipv4[number]), str(self.ipv6[number]))
        await run(["ip", "netns", "add", host.namespace])
        await self._plug(host.namespace, "eth0", host.device, host.address, host.address6)
        self.hosts[name] = host
        return host

    async def add_hosts(self, *names: str) -> list[Host]:
        """Several, in this order."""
        return [await self.host(name) for name in names]

    async def apply(self) -> None:
        """Make the router do what its hosts' faults say."""
        async with self._changing:
            hosts = self.hosts.values()
            faults = [fault for host in hosts for fault in host.faults]
            nats = [host.nat for host in hosts if host.nat]
            for program, ipv6 in (("iptables-restore", False), ("ip6tables-restore", True)):
                text = rules(faults, nats, ipv6=ipv6)
                await run(["ip", "netns", "exec", self.router, program], text)

    async def dropped(self, host: Host) -> int:
        """Packets that the faults of a host took since any host's faults were last changed."""
        total = 0
        for program in ("iptables-save", "ip6tables-save"):
            argv = ["ip", "netns", "exec", self.router, program, "-c", "-t", "filter"]
            total += dropped_packets(await run(argv), host.device)
        return total

    async def open(self) -> None:
        """The router, and this process's line to it. Raises CommandError."""
        atexit.register(self.close)
        await run(["ip", "netns", "add", self.router])
        lines = "\n".join(f"echo {value} > /proc/sys/net/{key}" for key, value in _SETTINGS.items())
        await run(["ip", "netns", "exec", self.router, "sh", "-e"], lines)
        # Packets to nobody vanish, as behind most firewalls.
        unknown = (self.ipv4, self.ipv6, "0.0.0.0/0", "::/0")
        await ip(
            self.router,
            "link set lo up",
            f"addr add {self.ipv6[1]}/128 dev lo",
            *(f"route add blackhole {net}" for net in unknown),
        )
        await self._plug("", self._device_here, "vhere", str(self.ipv4[2]), str(self.ipv6[2]))

    async def _plug(self, namespace: str, near: str, far: str, ipv4: str, ipv6: str) -> None:
        """A line from `near` in a namespace ("": ours) to `far` at the router.

        One packet at a time crosses it (gso_max_segs): a train would be lost as a whole.
        """
        gate = self.ipv4[1]
        there = "default" if namespace else self.ipv4
        await ip(
            namespace,
            *(["link set lo up"] if namespace else []),
            f"link add {near} type veth peer name {far} netns {self.router}",
            f"link set {near} gso_max_segs 1",
            f"addr add {ipv4}/32 dev {near}",
            f"link set {near} up",
            f"route add {there} via {gate} dev {near} onlink src {ipv4}",
        )
        await ip(
            self.router,
            f"link set {far} gso_max_segs 1",
            f"addr add {gate}/32 dev {far}",
            f"link set {far} up",
            f"route add {ipv4}/32 dev {far}",
        )
        await self.plug_ipv6(namespace, near, far, ipv6)

    async def plug_ipv6(self, namespace: str, near: str, far: str, ipv6: str) -> None:
        """Addresses and routes; those that are there already stay."""
        there = "default" if namespace else self.ipv6
        await ip(
            self.router,
            f"addr replace {_GATE_IPV6}/64 dev {far} nodad",
            f"route replace {ipv6}/128 dev {far}",
        )
        await ip(
            namespace,
            f"addr replace {ipv6}/128 dev {near} nodad",
            f"route replace {there} via {_GATE_IPV6} dev {near} src {ipv6}",
        )

    def new_outside(self) -> str:
        """An address for a host behind a translator, other than the last ones."""
        return str(self.ipv4[next(self._outside)])

    def new_zone(self) -> int:
        """A conntrack zone that remembers nothing."""
        return next(self._zones)

    def close(self) -> None:
        """Kill everything inside and remove it. Blocks; cannot be cancelled."""
        atexit.unregister(self.close)
        namespaces.remove([n for n in namespaces.names() if n.startswith(f"{self.prefix}-")])
        namespaces.remove_link(self._device_here)


class Host:
    """A machine of its own: one interface, two addresses, a line to the router.

    direction: up is from the host, down is to the host.
    """

    def __init__(self, net: Lan, name: str, address: str, address6: str) -> None:
        self.name = name
        self.address = address
        self.address6 = address6
        self.namespace = f"{net.prefix}-{name}"
        self.device = f"v{name}"
        self.nat: Nat | None = None
        self._net = net
        self._drops: list[Fault] = []
        self._losses: dict[Literal["up", "down"], Fault] = {}
        self._processes: list[HostProcess] = []

    @property
    def faults(self) -> list[Fault]:
        """What the router does to its packets."""
        return [*self._drops, *self._losses.values()]

    async def spawn(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT
    ) -> HostProcess:
        """Start a process here; env is added to ours. At the latest the network's end kills it."""
        process = await HostProcess.start(self.namespace, argv, env or {}, cwd)
        self._processes.append(process)
        return process

    async def run(self, argv: Sequence[str], stdin: str = "") -> str:
        """stdout of a command run here to its end. Raises CommandError."""
        return await run(["ip", "netns", "exec", self.namespace, *argv], stdin)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        """A non-blocking socket of this host for the test itself."""
        made = namespaces.socket_in(self.namespace, family, kind)
        made.setblocking(False)
        return made

    async def kill_all(self) -> None:
        """SIGKILL to all that were spawned here."""
        for process in self._processes:
            await process.kill()
        self._processes.clear()

    async def drop(
        self,
        *,
        udp: bool = False,
        tcp: bool = False,
        port: int = 0,
        from_: Host | None = None,
        direction: Direction = "both",
    ) -> None:
        """Packets vanish on the line: no FIN, no ICMP, no error at either end.

        udp, tcp: only those; neither: all. port: only packets with this port at either end.
        from_: only those from and to this host. Calls add up.
        """
        protocol: Literal["", "udp", "tcp"] = "" if udp == tcp else "udp" if udp else "tcp"
        peer = from_.device if from_ else ""
        self._drops.append(Fault(self.device, direction, protocol, port, peer))
        await self._net.apply()

    async def loss(self, ratio: float, direction: Direction = "both", *, udp: bool = False) -> None:
        """Each packet is lost with this probability, each way by itself; 0 ends it."""
        for way in _ways(direction):
            self._losses.pop(way, None)
            if ratio:
                self._losses[way] = Fault(self.device, way, "udp" if udp else "", ratio=ratio)
        await self._net.apply()

    async def rate(
        self,
        kbit: int,
        burst: int = 0,
        direction: Direction = "both",
        *,
        queue_ms: float = QUEUE_MS,
    ) -> None:
        """So many kilobits a second pass each way, headers included; 0 is any number.

        burst: bytes that may pass at once; 0 is 10 ms worth of them, at least 16 kB. What waits
        for more than queue_ms is lost.
        """
        burst = burst or max(MIN_BURST_BYTES, int(kbit * BURST_MS / 8))
        limit = max(2 * DEFAULT_MTU, int(kbit * queue_ms / 8))
        shape = f"tbf rate {kbit}kbit burst {burst} limit {limit}"
        ends = {"up": (self.namespace, "eth0"), "down": (self._net.router, self.device)}
        for way in _ways(direction):
            namespace, device = ends[way]
            # noqueue is what a veth has at first.
            kind = shape if kbit else "noqueue"
            await run(["tc", "-n", namespace, *f"qdisc replace dev {device} root {kind}".split()])

    async def mtu(self, size: int) -> None:
        """Of the line, both ways: the router says so to senders of more (ICMP), or fragments.

        Below 1280 the host has no IPv6 until the MTU is larger again.
        """
        await ip(self._net.router, f"link set {self.device} mtu {size}")
        await ip(self.namespace, f"link set eth0 mtu {size}")
        if size >= MIN_MTU_IPV6:
            await self._net.plug_ipv6(self.namespace, "eth0", self.device, self.address6)

    async def behind_nat(self) -> str:
        """From now on others see its packets come from another address, and its UDP from other
        ports; nobody can reach it first. IPv4 alone. Returns the address."""
        zones = self._net.new_zone(), self._net.new_zone()
        self.nat = Nat(self.device, self.address, self._net.new_outside(), *zones)
        await self._net.apply()
        return self.nat.outside

    async def change_port(self) -> None:
        """The translator forgets its UDP mappings: flows go on from other ports, and packets to
        the old ones vanish. TCP notices nothing. `behind_nat` comes first."""
        nat = self._translated()
        zone = self._net.new_zone()
        self.nat = Nat(nat.device, nat.inside, nat.outside, zone, nat.zone, nat.generation + 1)
        await self._net.apply()

    async def change_address(self) -> str:
        """A new address outside, as after a router's restart or a walk to another network: UDP
        flows go on from there, TCP connections are dead. Returns it. `behind_nat` comes first."""
        nat = self._translated()
        zones = self._net.new_zone(), self._net.new_zone()
        outside = self._net.new_outside()
        self.nat = Nat(nat.device, nat.inside, outside, *zones, nat.generation + 1)
        await self._net.apply()
        return outside

    def _translated(self) -> Nat:
        if self.nat is None:
            raise RuntimeError(f"{self.name} is not behind a translator: behind_nat() comes first")
        return self.nat

    async def dropped(self) -> int:
        """Packets lost to drop() and loss() since any host's faults were last changed."""
        return await self._net.dropped(self)

    async def restore(self) -> None:
        """A line without faults; a translator stays."""
        self._drops.clear()
        self._losses.clear()
        await self._net.apply()
        await self.rate(0)
        await self.mtu(DEFAULT_MTU)


def _ways(direction: Direction) -> Iterator[Literal["up", "down"]]:
    if direction in ("up", "both"):
        yield "up"
    if direction in ("down", "both"):
        yield "down"


@contextlib.asynccontextmanager
async def lan(*names: str) -> AsyncIterator[Lan]:
    """A network, with hosts of these names; nothing is left of it afterwards.

    Raises NamespacesNotAllowed.
    """
    namespaces.require_namespaces()
    namespaces.remove_stale()
    net = Lan(secrets.token_hex(2), secrets.randbelow(1 << 15))
    try:
        await net.open()
        await net.add_hosts(*names)
        yield net
    finally:
        net.close()
        for host in net.hosts.values():
            await host.kill_all()
