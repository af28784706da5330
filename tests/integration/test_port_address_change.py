"""A peer's address changes and its media goes on from the new one before any check."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator

import pytest

from relay.core.drops import DropReason
from relay.core.rtcp import ReceiverReport, encode
from relay.transport.port import MediaPort
from relay.transport.strangers import PACKETS_PER_WINDOW, SILENT_MS
from tests.integration.port_fixtures import Link, make_batch, rtp, two_ports

REPORT = encode([ReceiverReport(77)])


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """A socket at another address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


async def quiet() -> None:
    """Until a peer counts as silent."""
    await asyncio.sleep(1.5 * SILENT_MS / 1000)


async def dropped(server: MediaPort, count: int) -> None:
    """Until so many packets of nobody were dropped: no event tells of them."""
    async with asyncio.timeout(5):
        while server.counters.drops[DropReason.UNKNOWN_PEER] < count:
            await asyncio.sleep(0.005)


def sealed(link: Link, packet: bytes, *, rtcp: bool) -> bytes:
    """What the client would send."""
    peer = link.client_peer
    assert peer._srtp is not None
    return peer._host.scratch.seal(peer._srtp, packet, rtcp=rtcp)


async def known(link: Link) -> None:
    """The server has had a report of the client."""
    link.client_peer.send_rtcp(REPORT)
    await link.server.until(lambda: bool(link.server.rtcp))
    await quiet()


async def test_media_follows_a_report_from_a_new_address(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        await known(link)
        stranger.sendto(sealed(link, REPORT, rtcp=True), ("127.0.0.1", server.port))
        await link.server.until(lambda: len(link.server.rtcp) == 2)
        assert link.server_peer.remote_address == stranger.getsockname()
        server.send_batch(make_batch([(link.server_peer.index, [rtp(5)])]))
        got = await asyncio.get_running_loop().run_in_executor(None, stranger.recv, 2048)
        assert got[:12] == rtp(5)[:12]


async def test_a_publishers_media_is_followed_too(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        link.client_peer.send_rtp(rtp(1))
        await link.server.until(lambda: bool(link.server.rtp))
        await quiet()
        stranger.sendto(sealed(link, rtp(2), rtcp=False), ("127.0.0.1", server.port))
        await link.server.until(lambda: len(link.server.rtp) == 2)
        assert link.server_peer.remote_address == stranger.getsockname()


async def test_of_many_with_one_ssrc_the_right_one_moves(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        links = [await Link(server, client).up()]
        async with two_ports() as (_, other):
            links.append(await Link(server, other).up())
            for link in links:
                await known(link)
            before = links[0].server_peer.remote_address
            stranger.sendto(sealed(links[1], REPORT, rtcp=True), ("127.0.0.1", server.port))
            await links[1].server.until(lambda: len(links[1].server.rtcp) == 2)
            assert links[1].server_peer.remote_address == stranger.getsockname()
            assert links[0].server_peer.remote_address == before


async def test_what_was_sent_before_moves_nobody(stranger: socket.socket) -> None:
    """An eavesdropper who repeats a packet has the keys of nobody."""
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        await known(link)
        old = sealed(link, REPORT, rtcp=True)
        path = link.client_peer.ice.selected
        assert path is not None
        client._sockets[0].send(old, path)
        await link.server.until(lambda: len(link.server.rtcp) == 2)
        await quiet()
        before = link.server_peer.remote_address
        unknown = server.counters.drops[DropReason.UNKNOWN_PEER]
        for data in (old, old[:-1] + b"\0", REPORT, b"\x80\xc9" + bytes(20)):
            stranger.sendto(data, ("127.0.0.1", server.port))
        await dropped(server, unknown + 4)
        assert link.server_peer.remote_address == before


async def test_a_flood_from_strangers_is_not_looked_at(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        await known(link)
        dice = random.Random(3)
        count = 10 * PACKETS_PER_WINDOW
        for _ in range(count):
            stranger.sendto(b"\x80\xc9\x00\x07" + dice.randbytes(40), ("127.0.0.1", server.port))
        await dropped(server, count)
        assert server._receiver._strangers.refused > 0
        link.client_peer.send_rtcp(REPORT)
        await link.server.until(lambda: len(link.server.rtcp) == 2)


async def test_a_packet_held_back_moves_nobody(stranger: socket.socket) -> None:
    """It would open, since it never arrived; but a newer one has."""
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        await known(link)
        held = sealed(link, REPORT, rtcp=True)
        link.client_peer.send_rtcp(REPORT)
        await link.server.until(lambda: len(link.server.rtcp) == 2)
        await quiet()
        before = link.server_peer.remote_address
        unknown = server.counters.drops[DropReason.UNKNOWN_PEER]
        stranger.sendto(held, ("127.0.0.1", server.port))
        await dropped(server, unknown + 1)
        assert link.server_peer.remote_address == before


async def test_a_peer_that_moves_under_load_is_followed_soon(stranger: socket.socket) -> None:
    """Its packets come while it does not count as silent yet, more of them than are looked at."""
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        link.client_peer.send_rtp(rtp(1))
        await link.server.until(lambda: bool(link.server.rtp))
        async with asyncio.timeout(5):
            for seq in range(2, 1000):
                stranger.sendto(sealed(link, rtp(seq), rtcp=False), ("127.0.0.1", server.port))
                await asyncio.sleep(0.003)
                if len(link.server.rtp) > 1:
                    break
        assert link.server_peer.remote_address == stranger.getsockname()


async def test_one_address_does_not_silence_the_rest(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        await known(link)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
            for _ in range(5 * PACKETS_PER_WINDOW):
                loud.sendto(b"\x80\xc9\x00\x07" + bytes(40), ("127.0.0.1", server.port))
        stranger.sendto(sealed(link, REPORT, rtcp=True), ("127.0.0.1", server.port))
        await link.server.until(lambda: len(link.server.rtcp) == 2)
        assert link.server_peer.remote_address == stranger.getsockname()
