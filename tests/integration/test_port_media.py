"""Two media ports over real loopback sockets: ICE, DTLS, SRTP both ways."""

from __future__ import annotations

import pytest

from relay.core.drops import DropReason
from relay.transport import CloseReason
from tests.integration.port_fixtures import Link, Recorder, make_batch, rtp, two_ports

RR = bytes.fromhex("80c9000100000001")


@pytest.mark.parametrize("server_is_dtls_client", [False, True])
async def test_media_and_rtcp_flow_both_ways(server_is_dtls_client: bool) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client, server_is_dtls_client=server_is_dtls_client).up()
        assert link.server_peer.srtp_profile == "AEAD_AES_128_GCM"
        assert link.server_peer.remote_address == ("127.0.0.1", client.port)
        assert link.client_peer.rtt_ms is not None
        link.client_peer.send_rtp(rtp(1))
        link.client_peer.send_rtcp(RR)
        await link.server.until(lambda: bool(link.server.rtp and link.server.rtcp))
        link.server_peer.send_rtp(rtp(2))
        link.server_peer.send_rtcp(RR)
        await link.client.until(lambda: bool(link.client.rtp and link.client.rtcp))
        assert (link.server.rtp, link.server.rtcp) == ([rtp(1)], [RR])
        assert (link.client.rtp, link.client.rtcp) == ([rtp(2)], [RR])


@pytest.mark.parametrize("gso", [True, False])
async def test_batch_reaches_each_viewer_whole_and_in_order(gso: bool) -> None:
    async with two_ports(gso=gso) as (server, one), two_ports() as (_, two):
        links = [await Link(server, one).up(), await Link(server, two).up()]
        trains = [
            (links[0].server_peer.index, [rtp(i, size=900) for i in range(7)] + [rtp(7, size=300)]),
            (links[1].server_peer.index, [rtp(i, size=500) for i in range(3)]),
            (links[0].server_peer.index, [rtp(8, size=1400)]),
        ]
        server.send_batch(make_batch(trains))
        await links[0].client.until(lambda: len(links[0].client.rtp) >= 9)
        await links[1].client.until(lambda: len(links[1].client.rtp) >= 3)
        assert links[0].client.rtp == trains[0][1] + trains[2][1]
        assert links[1].client.rtp == trains[1][1]
        assert server.counters.gso_trains == (2 if gso else 0)
        assert server.counters.batch_packets == 12


async def test_same_shape_again_and_again_uses_fresh_lengths() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        sent: list[bytes] = []
        batch = make_batch([(link.server_peer.index, [rtp(0), rtp(1)])])
        for i in range(5):
            packets = [rtp(2 * i, size=200 + i), rtp(2 * i + 1, size=150 + i)]
            sent += packets
            server.send_batch(make_batch([(link.server_peer.index, packets)], batch.arena))
        await link.client.until(lambda: len(link.client.rtp) >= 10)
        assert link.client.rtp == sent


async def test_long_train_is_split_and_unequal_train_is_sent_singly() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        long = [rtp(i, size=1200) for i in range(100)]
        server.send_batch(make_batch([(link.server_peer.index, long)]))
        await link.client.until(lambda: len(link.client.rtp) >= 100)
        assert link.client.rtp == long
        link.client.rtp.clear()
        unequal = [rtp(100, size=200), rtp(101, size=400), rtp(102, size=100)]
        server.send_batch(make_batch([(link.server_peer.index, unequal)]))
        await link.client.until(lambda: len(link.client.rtp) >= 3)
        assert link.client.rtp == unequal


async def test_rows_of_gone_or_unkeyed_peers_are_counted_and_others_go_out() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        silent = Link(server, client, hosts=())
        batch = make_batch(
            [
                (silent.server_peer.index, [rtp(1), rtp(2)]),
                (link.server_peer.index, [rtp(3)]),
                (999, [rtp(4)]),
            ]
        )
        server.send_batch(batch)
        await link.client.until(lambda: bool(link.client.rtp))
        assert link.client.rtp == [rtp(3)]
        assert server.counters.drops[DropReason.SRTP_NOT_KEYED] == 3
        link.server_peer.close()
        server.send_batch(make_batch([(link.server_peer.index, [rtp(5)])]))
        assert server.counters.drops[DropReason.SRTP_NOT_KEYED] == 4


async def test_malformed_row_costs_itself_alone() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        bad = b"\x80\x60\x00"
        server.send_batch(make_batch([(link.server_peer.index, [rtp(1), bad])]))
        await link.client.until(lambda: bool(link.client.rtp))
        assert link.client.rtp == [rtp(1)]
        assert server.counters.drops[DropReason.SRTP_SEAL] == 1


async def test_trains_that_do_not_add_up_are_refused() -> None:
    async with two_ports() as (server, _):
        batch = make_batch([(0, [rtp(1), rtp(2)])])
        batch.train_rows[0] = 1
        with pytest.raises(ValueError, match="add up"):
            server.send_batch(batch)


async def test_close_is_heard_at_the_other_end_once() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        link.client_peer.close(CloseReason.DELETED)
        link.client_peer.close(CloseReason.LOCAL)
        await link.server.until(lambda: bool(link.server.closed))
        assert link.client.closed == [CloseReason.DELETED]
        assert link.server.closed == [CloseReason.PEER_CLOSED]


async def test_port_close_closes_peers_and_frees_the_socket() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        number = server.port
        await server.close()
        assert link.server.closed == [CloseReason.SHUTDOWN]
        async with two_ports(addresses=["127.0.0.1"]) as (other, _):
            assert other.port != number or other is not server
        await link.client.until(lambda: bool(link.client.closed))


@pytest.mark.parametrize("who", ["server_trusts", "client_trusts"])
async def test_wrong_fingerprint_never_connects(who: str) -> None:
    wrong = ":".join(["AB"] * 32)
    async with two_ports() as (server, client):
        link = Link(
            server,
            client,
            server_trusts=wrong if who == "server_trusts" else None,
            client_trusts=wrong if who == "client_trusts" else None,
        )
        side: Recorder = link.server if who == "server_trusts" else link.client
        await side.until(lambda: bool(side.closed))
        assert side.closed == [CloseReason.FINGERPRINT_MISMATCH]
        assert not side.connected.is_set()
        assert not side.rtp


async def test_one_drained_burst_is_one_call() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        # Nothing yields to the event loop in between: all wait in the socket together.
        for i in range(20):
            link.client_peer.send_rtp(rtp(i))
        await link.server.until(lambda: len(link.server.rtp) >= 20)
        assert link.server.bursts == [20]
