"""Packets and trains longer than a router's line takes: IPv4 is fragmented there, IPv6 here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator

import pytest

from relay.transport import kernel
from relay.transport.certificate import DtlsCertificate
from relay.transport.ice import DEFAULT_CONSENT_MS
from relay.transport.port import MediaPort
from relay.transport.udp_socket import UdpSocket, open_sockets
from tests.integration.port_fixtures import Link, make_batch, rtp
from tests.netns import namespaces
from tests.netns.hosts import Host, Lan
from tests.netns.test_paths import filter_icmp

ROUNDS, TRAIN = 20, 8


def sockets_in(host: Host, address: str) -> list[UdpSocket]:
    """A media port's sockets that live in a host."""
    made: list[UdpSocket] = []

    def make() -> None:
        namespaces.enter(host.namespace)
        made.extend(open_sockets(0, [address], client=False))

    # A thread of its own: it changes its namespace for good and then ends.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made


@contextlib.asynccontextmanager
async def port_in(host: Host, address: str) -> AsyncIterator[MediaPort]:
    certificate = DtlsCertificate.generate()
    sockets = sockets_in(host, address)
    port = MediaPort(sockets, (), certificate, DEFAULT_CONSENT_MS, client=False, gso=True)
    try:
        yield port
    finally:
        await port.close()


async def sent_and_seen(net: Lan, address: str, other: str, size: int) -> tuple[list[int], Link]:
    """ROUNDS trains of packets of `size` bytes, one after the other: how many of each arrived."""
    hub, commune = net.hosts["hub"], net.hosts["commune1"]
    async with port_in(hub, address) as server, port_in(commune, other) as client:
        link = await Link(server, client, hosts=(address,)).up()
        arrived = []
        for number in range(ROUNDS):
            before = len(link.client.rtp)
            packets = [rtp(number * TRAIN + i, size=size) for i in range(TRAIN)]
            server.send_batch(make_batch([(link.server_peer.index, packets)]))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await link.client.until(lambda: len(link.client.rtp) == before + TRAIN)  # noqa: B023
            arrived.append(len(link.client.rtp) - before)
        return arrived, link


@pytest.mark.parametrize("icmp", [True, False], ids=["icmp", "icmp-filtered"])
async def test_ipv4_loses_nothing_and_keeps_its_trains(net: Lan, icmp: bool) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    await commune.mtu(1000)
    if not icmp:
        await filter_icmp(net)
    arrived, link = await sent_and_seen(net, hub.address, commune.address, 1200)
    counters = link.server_peer._host.counters
    assert arrived == [TRAIN] * ROUNDS
    assert counters.gso_trains == ROUNDS
    assert not counters.send_errors


async def test_a_line_of_our_own_that_takes_no_train_loses_nothing(net: Lan) -> None:
    """The segments are longer than the interface's MTU: the kernel refuses the train."""
    hub, commune = await net.add_hosts("hub", "commune1")
    await hub.mtu(1000)
    arrived, link = await sent_and_seen(net, hub.address, commune.address, 1200)
    counters = link.server_peer._host.counters
    assert arrived == [TRAIN] * ROUNDS
    assert counters.gso_trains == 0
    assert sum(counters.send_errors.values()) == 1


async def test_ipv6_goes_on_in_fragments_once_a_router_has_said_so(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    await commune.mtu(1280)
    arrived, link = await sent_and_seen(net, hub.address6, commune.address6, 1400)
    counters = link.server_peer._host.counters
    assert arrived[0] < TRAIN
    assert arrived[2:] == [TRAIN] * (ROUNDS - 2)
    assert sum(counters.send_errors.values()) == 1


async def test_ipv6_keeps_its_trains_where_they_fit(net: Lan) -> None:
    hub, commune = await net.add_hosts("hub", "commune1")
    await commune.mtu(1280)
    arrived, link = await sent_and_seen(net, hub.address6, commune.address6, 1200)
    assert arrived == [TRAIN] * ROUNDS
    assert link.server_peer._host.counters.gso_trains == ROUNDS


def test_ipv4_sockets_let_routers_fragment() -> None:
    (sock,) = open_sockets(0, ["127.0.0.1"], client=False)
    option = sock.socket.getsockopt(socket.IPPROTO_IP, kernel.IP_MTU_DISCOVER)
    sock.close()
    assert option == kernel.IP_PMTUDISC_OMIT
