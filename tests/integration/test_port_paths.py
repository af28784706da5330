"""Addresses: which one answers, IPv6, candidates; many at once; media before the keys."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.core.drops import DropReason
from relay.transport import MediaPort
from relay.transport.candidate import machine_addresses
from relay.transport.peer import MAX_EARLY_PACKETS
from tests.integration.port_fixtures import Link, make_batch, rtp, two_ports


async def received(link: Link, count: int) -> None:
    """The client side has that many RTP packets."""
    await link.client.until(lambda: len(link.client.rtp) >= count)


HAS_IPV6 = "::1" in machine_addresses()


@pytest.mark.parametrize("host", machine_addresses())
async def test_replies_leave_from_the_address_that_was_asked(host: str) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client, hosts=(host,)).up()
        assert link.server_peer.ice.selected is not None
        assert link.server_peer.ice.selected.local == host
        server.send_batch(make_batch([(link.server_peer.index, [rtp(1), rtp(2)])]))
        link.client_peer.send_rtp(rtp(3))
        await link.client.until(lambda: len(link.client.rtp) == 2)
        await link.server.until(lambda: bool(link.server.rtp))
        # The client only takes what comes from the address it asked.
        assert link.client_peer.remote_address == (host, server.port)


async def test_batch_over_both_families_at_once() -> None:
    if not HAS_IPV6:
        pytest.skip("no IPv6 here")
    async with two_ports() as (server, one), two_ports() as (_, two):
        four, six = Link(server, one), Link(server, two, hosts=("::1",))
        await four.up()
        await six.up()
        sizes = [(four, [rtp(1), rtp(2)]), (six, [rtp(3), rtp(4), rtp(5)])]
        server.send_batch(make_batch([(link.server_peer.index, train) for link, train in sizes]))
        for link, train in sizes:
            await received(link, len(train))
            assert link.client.rtp == train
        assert server.counters.gso_trains == 2


async def test_dead_candidates_do_not_delay_the_live_one() -> None:
    async with two_ports() as (server, client):
        hosts = ("192.0.2.254", "127.0.0.1", "198.51.100.77")
        link = await Link(server, client, hosts=hosts).up()
        assert link.client_peer.remote_address == ("127.0.0.1", server.port)


async def test_candidates_are_the_machines_own_and_one_port_serves_both_families() -> None:
    port = await MediaPort.open(port=0)
    try:
        hosts = [c.host for c in port.candidates]
        assert "127.0.0.1" in hosts
        assert {c.port for c in port.candidates} == {port.port}
        assert len({c.priority for c in port.candidates}) == len(hosts)
        with pytest.raises(OSError, match="in use"):
            await MediaPort.open(port=port.port)
    finally:
        await port.close()


async def test_announced_addresses_replace_our_own() -> None:
    port = await MediaPort.open(port=0, announced=["198.51.100.5"])
    try:
        assert [c.host for c in port.candidates] == ["198.51.100.5"]
    finally:
        await port.close()
    with pytest.raises(ValueError):
        await MediaPort.open(port=0, announced=["hub.example"])


async def test_one_address_is_bound_alone_and_a_wildcard_means_all() -> None:
    port = await MediaPort.open(port=0, addresses=["127.0.0.1"])
    try:
        assert [c.host for c in port.candidates] == ["127.0.0.1"]
        assert [s.socket.getsockname()[0] for s in port._sockets.values()] == ["127.0.0.1"]
    finally:
        await port.close()
    port = await MediaPort.open(port=0, addresses=["0.0.0.0"])
    try:
        assert [c.host for c in port.candidates] == [a for a in machine_addresses() if ":" not in a]
    finally:
        await port.close()


async def test_media_that_comes_before_the_keys_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_ports() as (server, client):
        # The client is the DTLS server here: it has keys while its last flight is on its way.
        link = Link(server, client, server_is_dtls_client=True)
        peer = link.server_peer
        on_dtls, opens = peer.on_dtls, peer.open
        held: list[bytes] = []
        came = asyncio.Event()

        def hold(datagram: bytes, now_ms: float) -> None:
            if link.client_peer.connected:
                held.append(datagram)
            else:
                on_dtls(datagram, now_ms)

        def see(data: bytes, *, rtcp: bool, now_ms: float) -> bytes | None:
            clear = opens(data, rtcp=rtcp, now_ms=now_ms)
            if data[2:4] == rtp(MAX_EARLY_PACKETS + 5)[2:4]:
                came.set()
            return clear

        monkeypatch.setattr(peer, "on_dtls", hold)
        monkeypatch.setattr(peer, "open", see)
        await asyncio.wait_for(link.client.connected.wait(), 5)
        for i in range(1, MAX_EARLY_PACKETS + 6):
            link.client_peer.send_rtp(rtp(i))
        await asyncio.wait_for(came.wait(), 5)
        assert not peer.connected
        assert server.counters.drops[DropReason.SRTP_NOT_KEYED] == 5
        for datagram in held:
            on_dtls(datagram, server.now_ms())
        assert peer.connected
        assert link.server.rtp == [rtp(i) for i in range(1, MAX_EARLY_PACKETS + 1)]


async def test_sixty_three_clients_join_at_once() -> None:
    server = await MediaPort.open(port=0)
    clients = [await MediaPort.open(port=0, client=True) for _ in range(63)]
    try:
        links = [Link(server, client) for client in clients]
        for link in links:
            await link.up()
        packets = [rtp(i, size=1200) for i in range(8)]
        server.send_batch(make_batch([(link.server_peer.index, packets) for link in links]))
        for link in links:
            await received(link, 8)
            assert link.client.rtp == packets
        assert len({link.server_peer.index for link in links}) == 63
    finally:
        for client in clients:
            await client.close()
        await server.close()


async def test_taken_port_leaves_no_socket_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        with pytest.raises(OSError, match="in use"):
            await MediaPort.open(port=taken.getsockname()[1])
