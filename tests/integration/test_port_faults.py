"""A port under fire and under pressure: floods, forgeries, full buffers, paths that move."""

from __future__ import annotations

import asyncio
import errno
import gc
import random
import secrets
import socket
import weakref
from collections.abc import Iterator

import pytest

from relay.core.drops import DropReason
from relay.transport import CloseReason, MediaPort, PeerParameters, kernel
from relay.transport.binding_responder import ANSWERS_PER_HOST_PER_S
from relay.transport.ice import Path
from relay.transport.peer_table import INDEX_GRACE_MS
from relay.transport.send_queue import MAX_QUEUED_PACKETS
from relay.transport.stun import build_address_request, build_request, parse_stun
from tests.integration.port_fixtures import Link, Recorder, make_batch, rtp, two_ports

TID = bytes(range(12))
RR = bytes.fromhex("80c9000100000001")


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """A socket that nobody knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def check(link: Link, *, nominate: bool = True, password: str | None = None) -> bytes:
    """A connectivity check as the client of the link would send it."""
    credentials = link.server_peer.ice.credentials
    return build_request(
        secrets.token_bytes(12),
        f"{credentials.local_ufrag}:{credentials.remote_ufrag}",
        password or credentials.local_pwd,
        priority=1,
        tie_breaker=1,
        use_candidate=nominate,
    )


async def settle(link: Link) -> None:
    """Everything that strangers sent before now has been read: a packet sent after it is here."""
    before = len(link.server.rtcp)
    link.client_peer.send_rtcp(RR)
    await link.server.until(lambda: len(link.server.rtcp) > before)


async def test_strangers_are_counted_and_leave_no_trace(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        to = ("127.0.0.1", server.port)
        for data in (
            rtp(1),
            b"\x16\xfe\xfd" + bytes(20),
            bytes(20),
            b"\x50nonsense",
            check(link, password="guess"),
            bytes(3000),
            b"",
        ):
            stranger.sendto(data, to)
        await settle(link)
        drops = server.counters.drops
        assert drops[DropReason.UNKNOWN_PEER] == 3
        assert drops[DropReason.MALFORMED_STUN] == 1
        assert drops[DropReason.STUN_BAD_CREDENTIALS] == 1
        assert drops[DropReason.OVERSIZED] == 2
        assert len(server._registry.by_address) == 1


async def test_a_stranger_is_told_his_address_and_not_too_often(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        for _ in range(3 * ANSWERS_PER_HOST_PER_S):
            stranger.sendto(build_address_request(TID), ("127.0.0.1", server.port))
        await settle(link)
        told = parse_stun(stranger.recv(100))
        assert (told.transaction_id, told.mapped_address) == (TID, stranger.getsockname())
        assert server.counters.drops[DropReason.STUN_RATE_LIMITED] >= ANSWERS_PER_HOST_PER_S
        assert server.counters.drops[DropReason.STUN_BAD_CREDENTIALS] == 0
        assert len(server._registry.by_address) == 1


async def test_forged_and_replayed_media_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        taken: list[bytes] = []
        sock = client._sockets[0]
        path = link.client_peer.ice.selected
        assert path is not None
        send = sock.send

        def tap(data: bytes, to: Path) -> int:
            taken.append(data)
            return send(data, to)

        monkeypatch.setattr(sock, "send", tap)
        link.client_peer.send_rtp(rtp(1))
        (sealed,) = taken
        send(sealed, path)
        send(rtp(2) + bytes(16), path)
        send(RR + bytes(20), path)
        send(b"\x80\x60", path)
        await settle(link)
        drops = server.counters.drops
        assert drops[DropReason.SRTP_REPLAY] == 1
        assert drops[DropReason.SRTP_AUTH] == 2
        assert drops[DropReason.MALFORMED_RTP] == 1
        assert link.server.rtp == [rtp(1)]


@pytest.mark.parametrize("seed", range(4))
async def test_nonsense_from_a_known_address_harms_nothing(seed: int) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        rng = random.Random(seed)
        path = link.client_peer.ice.selected
        assert path is not None
        for _ in range(50):
            for first in (0, 1, 20, 21, 22, 23, 63, 64, 128, 129, 191, 192, 255):
                rest = rng.randbytes(rng.choice((0, 1, 11, 12, 19, 40, 300)))
                client._sockets[0].send(bytes((first,)) + rest, path)
            await settle(link)
        link.client_peer.send_rtp(rtp(1))
        link.server_peer.send_rtp(rtp(2))
        await link.server.until(lambda: bool(link.server.rtp))
        await link.client.until(lambda: bool(link.client.rtp))
        assert (link.server.rtp, link.client.rtp) == ([rtp(1)], [rtp(2)])
        assert not link.server.closed


async def test_streams_of_a_peer_are_bounded() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        for ssrc in range(100):
            link.client_peer.send_rtp(rtp(1, ssrc=ssrc + 1))
        await link.server.until(lambda: server.counters.packets_in > 100 and bool(link.server.rtp))
        await link.server.until(lambda: len(link.server.rtp) >= 64)
        assert len(link.server.rtp) == 64
        assert server.counters.drops[DropReason.TOO_MANY_SOURCES] == 36


async def test_nat_rebinding_moves_media_to_the_new_address(stranger: socket.socket) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        data = check(link)
        stranger.sendto(data, ("127.0.0.1", server.port))
        loop = asyncio.get_running_loop()
        reply = parse_stun(await loop.run_in_executor(None, stranger.recv, 2048))
        assert reply.mapped_address == stranger.getsockname()
        assert link.server_peer.remote_address == stranger.getsockname()
        server.send_batch(make_batch([(link.server_peer.index, [rtp(5)])]))
        sealed = await loop.run_in_executor(None, stranger.recv, 2048)
        assert sealed[:12] == rtp(5)[:12]


async def test_live_peer_keeps_its_address_from_another_session() -> None:
    async with two_ports() as (server, client):
        victim = await Link(server, client).up()
        thief = Link(server, client, hosts=())
        sock = client._sockets[0]
        path = victim.client_peer.ice.selected
        assert path is not None
        sock.send(check(thief), path)
        await settle(victim)
        assert thief.server_peer.remote_address is None
        assert server._registry.by_address[next(iter(server._registry.by_address))] is (
            victim.server_peer
        )


async def test_ice_restart_keeps_media_and_takes_the_new_credentials() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        link.server_peer.restart_ice("new-s", "new-s-password-123456789", "new-c", "x" * 24)
        link.client_peer.send_rtp(rtp(1))
        await link.server.until(lambda: bool(link.server.rtp))
        assert link.server_peer.ice.credentials.local_ufrag != "new-s"
        link.client_peer.restart_ice("new-c", "x" * 24, "new-s", "new-s-password-123456789")
        await settle(link)
        assert link.server_peer.ice.credentials.local_ufrag == "new-s"
        link.server_peer.send_rtp(rtp(2))
        await link.client.until(lambda: bool(link.client.rtp))
        assert link.client_peer.ice.credentials.local_ufrag == "new-c"


async def test_silent_peer_expires_and_so_does_one_that_never_came() -> None:
    server = await MediaPort.open(port=0, consent_timeout_ms=120.0)
    client = await MediaPort.open(port=0, client=True)
    try:
        link = await Link(server, client).up()
        never = Link(server, client, hosts=())
        never.server_peer.ice.first_contact_ms = 50.0
        never.server_peer._run_checks(0.0)
        for slot in list(client._sockets):
            asyncio.get_running_loop().remove_reader(client._sockets[slot].fd)
        await link.server.until(lambda: bool(link.server.closed))
        await never.server.until(lambda: bool(never.server.closed))
        assert link.server.closed == [CloseReason.CONSENT_EXPIRED]
        assert never.server.closed == [CloseReason.NEVER_CONNECTED]
    finally:
        await client.close()
        await server.close()


async def test_refused_train_falls_back_to_single_packets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_ports(gso=True) as (server, client):
        link = await Link(server, client).up()
        real = kernel.MessageBlock.send

        def refuse_trains(block: kernel.MessageBlock, fd: int) -> int:
            return -errno.EIO if block.messages["iovlen"].max() > 1 else real(block, fd)

        monkeypatch.setattr(kernel.MessageBlock, "send", refuse_trains)
        packets = [rtp(i) for i in range(6)]
        server.send_batch(make_batch([(link.server_peer.index, packets[:3])]))
        server.send_batch(make_batch([(link.server_peer.index, packets[3:])]))
        await link.client.until(lambda: len(link.client.rtp) >= 6)
        assert link.client.rtp == packets
        assert server.counters.send_errors[errno.EIO] == 1
        assert server.counters.gso_trains == 0


async def test_error_of_one_message_costs_that_message_alone() -> None:
    async with two_ports() as (server, one), two_ports() as (_, two):
        links = [await Link(server, one).up(), await Link(server, two).up()]
        # Port 0 cannot be sent to: the kernel refuses that message and stops there.
        server._table.names[links[0].server_peer.index, 2:4] = 0
        server.send_batch(
            make_batch(
                [(links[0].server_peer.index, [rtp(1)]), (links[1].server_peer.index, [rtp(2)])]
            )
        )
        await links[1].client.until(lambda: bool(links[1].client.rtp))
        assert links[1].client.rtp == [rtp(2)]
        assert server.counters.drops[DropReason.SEND_ERROR] == 1
        assert server.counters.send_errors[errno.EINVAL] == 1


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOBUFS])
async def test_full_socket_queues_and_flushes_in_order(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        index = link.server_peer.index
        sent = [rtp(i) for i in range(12)]
        with monkeypatch.context() as patch:
            patch.setattr(kernel.MessageBlock, "send", lambda block, fd: -code)
            server.send_batch(make_batch([(index, sent[:5])]))
        # Blocked: what follows waits behind.
        server.send_batch(make_batch([(index, sent[5:11])]))
        link.server_peer.send_rtp(sent[11])
        assert server.counters.queued == 12
        await link.client.until(lambda: len(link.client.rtp) >= 12)
        assert link.client.rtp == sent
        assert not server._queues[0]
        assert server.counters.overflow == 0


async def test_overflow_is_told_once_and_spares_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_ports() as (server, one), two_ports() as (_, two):
        slow, quick = await Link(server, one).up(), await Link(server, two).up()
        many = [rtp(i) for i in range(MAX_QUEUED_PACKETS + 30)]
        with monkeypatch.context() as patch:
            patch.setattr(kernel.MessageBlock, "send", lambda block, fd: -errno.EAGAIN)
            server.send_batch(
                make_batch([(slow.server_peer.index, many), (quick.server_peer.index, [rtp(7)])])
            )
        await quick.client.until(lambda: bool(quick.client.rtp))
        await slow.client.until(lambda: len(slow.client.rtp) >= MAX_QUEUED_PACKETS)
        assert slow.client.rtp == many[:MAX_QUEUED_PACKETS]
        assert (slow.server.overflows, quick.server.overflows) == (1, 0)
        assert server.counters.overflow == 30
        assert server.counters.drops[DropReason.SEND_QUEUE_FULL] == 30


async def test_index_rests_before_it_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_ports() as (server, client):
        first = Link(server, client, hosts=()).server_peer
        first.close()
        assert Link(server, client, hosts=()).server_peer.index != first.index
        now_ms = server.now_ms()
        monkeypatch.setattr(server, "now_ms", lambda: now_ms + INDEX_GRACE_MS + 1)
        assert Link(server, client, hosts=()).server_peer.index == first.index


async def test_closed_peer_is_freed() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        server.send_batch(make_batch([(link.server_peer.index, [rtp(1)])]))
        peer = weakref.ref(link.server_peer)
        ssl = weakref.ref(link.server_peer._dtls)
        heard = link.server
        link.client_peer.close()
        await heard.until(lambda: bool(heard.closed))
        assert server._registry.by_address == {}
        assert server._registry._by_ufrag == {}
        server._deadlines.run(1e12)
        del link
        gc.collect()
        assert peer() is None
        assert ssl() is None


async def test_failing_handler_does_not_stop_the_others() -> None:
    class Broken(Recorder):
        def on_rtp(self, peer: object, packets: list[bytes], now_ms: float) -> None:
            raise RuntimeError("broken on purpose")

    reported: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    async with two_ports() as (server, one), two_ports() as (_, two):
        bad, good = await Link(server, one).up(), await Link(server, two).up()
        bad.server_peer.handler = Broken()
        bad.client_peer.send_rtp(rtp(1))
        good.client_peer.send_rtp(rtp(2))
        await good.server.until(lambda: bool(good.server.rtp))
        await settle(good)
    assert reported == ["broken on purpose"]


async def test_load_client_may_leave_media_sealed() -> None:
    async with two_ports() as (server, client):
        link = await Link(server, client).up()
        link.client_peer.opens_media = False
        server.send_batch(make_batch([(link.server_peer.index, [rtp(i) for i in range(3)])]))
        await link.client.until(lambda: len(link.client.rtp) >= 3)
        assert [len(p) for p in link.client.rtp] == [116] * 3
        assert [p[:12] for p in link.client.rtp] == [rtp(i)[:12] for i in range(3)]


async def test_same_ufrag_twice_is_refused() -> None:
    async with two_ports() as (server, _):
        parameters = PeerParameters("same", "p" * 22, "r", "q" * 22, (), "server", "lite")
        server.add_peer(parameters, Recorder())
        with pytest.raises(ValueError, match="ufrag"):
            server.add_peer(parameters, Recorder())
