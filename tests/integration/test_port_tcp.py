"""ICE-TCP over real sockets: media, moves, slow readers, floods, broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.core.drops import DropReason
from relay.transport import Candidate, MediaPort, TcpPorts
from relay.transport.peer import Peer
from relay.transport.stun import build_request, parse_stun
from relay.transport.tcp_admission import MAX_PER_PEER, MAX_UNNAMED_PER_ADDRESS
from relay.transport.tcp_framing import FrameParser, frame
from relay.transport.tcp_queue import MAX_VIDEO_BYTES
from tests.integration.port_fixtures import Link, make_batch, rtp

WAIT_S = 10.0
VOICE_SSRC, VIDEO_SSRC = 0x51, 0x52


def tcp_candidates(server: MediaPort) -> tuple[Candidate, ...]:
    return (Candidate("9", 1, "tcp", 1, "127.0.0.1", server.port, tcptype="passive"),)


class TcpLink(Link):
    """A Link whose client is told of TCP candidates only."""

    def __init__(self, server: MediaPort, client: MediaPort) -> None:
        super().__init__(server, client, hosts=())
        self.server_peer.voice_ssrcs = frozenset({VOICE_SSRC})
        self.client_peer.ice.tcp_only = True  # type: ignore[attr-defined]
        for candidate in tcp_candidates(server):
            self.client_peer.add_remote_candidate(candidate)


@contextlib.asynccontextmanager
async def ports(**options: object) -> AsyncIterator[tuple[MediaPort, MediaPort]]:
    """(server that listens for TCP, client)."""
    server = await MediaPort.open(port=0, tcp=TcpPorts(), **options)  # type: ignore[arg-type]
    client = await MediaPort.open(port=0, client=True)
    try:
        yield server, client
    finally:
        await client.close()
        await server.close()


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    """A TCP socket that nobody knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        yield sock


def only_stream(port: MediaPort, peer: Peer) -> object:
    (stream,) = port.streams._of_peer[peer.index].values()
    return stream


def check(link: Link, *, password: str | None = None, nominate: bool = True) -> bytes:
    credentials = link.server_peer.ice.credentials
    return build_request(
        secrets.token_bytes(12),
        f"{credentials.local_ufrag}:{credentials.remote_ufrag}",
        password or credentials.local_pwd,
        priority=1,
        tie_breaker=1,
        use_candidate=nominate,
    )


async def connected(sock: socket.socket, server: MediaPort) -> None:
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))


async def receive(sock: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), WAIT_S)


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_media_goes_both_ways_over_tcp() -> None:
    async with ports() as (server, client):
        link = await TcpLink(server, client).up()
        assert (link.server_peer.transport, link.client_peer.transport) == ("tcp", "tcp")
        packets = [rtp(i, size=1200) for i in range(200)]
        server.send_batch(make_batch([(link.server_peer.index, packets)]))
        link.server_peer.send_rtp(rtp(300))
        link.client_peer.send_rtp(rtp(301))
        await link.client.until(lambda: len(link.client.rtp) == 201)
        await link.server.until(lambda: len(link.server.rtp) == 1)
        assert link.client.rtp == [*packets, rtp(300)]
        assert (server.streams.named, server.streams.unnamed) == (1, 0)
        assert not server.counters.drops
        link.client_peer.close()
        await link.server.until(lambda: bool(link.server.closed))
        await until(lambda: server.streams.named == 0)


async def test_udp_and_tcp_viewers_share_a_batch() -> None:
    async with ports() as (server, one):
        two = await MediaPort.open(port=0, client=True)
        try:
            udp, tcp = await Link(server, two).up(), await TcpLink(server, one).up()
            packets = [rtp(i, size=900) for i in range(10)]
            trains = [(link.server_peer.index, packets) for link in (udp, tcp)]
            server.send_batch(make_batch(trains))
            for link in (udp, tcp):
                await link.client.until(lambda link=link: len(link.client.rtp) == 10)  # type: ignore[misc]
                assert link.client.rtp == packets
            assert server.counters.gso_trains == 1
            assert server.counters.packets_out >= 20
        finally:
            await two.close()


async def test_candidates_name_the_same_port_and_the_extra_one() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        extra = probe.getsockname()[1]
    port = await MediaPort.open(port=0, addresses=["127.0.0.1"], tcp=TcpPorts(extra_port=extra))
    try:
        found = [(c.transport, c.port, c.tcptype) for c in port.candidates]
        assert found == [
            ("udp", port.port, None), ("tcp", port.port, "passive"), ("tcp", extra, "passive")
        ]  # fmt: skip
        for number in (port.port, extra):
            with socket.create_connection(("127.0.0.1", number), timeout=5):
                pass
        with pytest.raises(OSError, match="TCP port"):
            await MediaPort.open(port=0, tcp=TcpPorts(port=extra))
    finally:
        await port.close()


async def test_client_falls_back_to_tcp_when_udp_says_nothing() -> None:
    async with ports() as (server, client):
        link = Link(server, client, hosts=("192.0.2.254",))
        for candidate in tcp_candidates(server):
            link.client_peer.add_remote_candidate(candidate)
        await link.up()
        assert link.client_peer.transport == "tcp"


async def test_media_moves_to_tcp_and_back_by_nomination(stranger: socket.socket) -> None:
    async with ports() as (server, client):
        link = await Link(server, client).up()
        await connected(stranger, server)
        stranger.sendall(frame(check(link, nominate=False)))
        parser = FrameParser()
        (answer,) = parser.feed(await receive(stranger))
        assert parse_stun(answer).mapped_address == stranger.getsockname()
        before = link.server_peer.ice.selected
        assert before is not None
        assert before.stream == 0
        stranger.sendall(frame(check(link)))
        await until(lambda: link.server_peer.transport == "tcp")
        server.send_batch(make_batch([(link.server_peer.index, [rtp(1)])]))
        got: list[bytes] = []
        while not any(packet[0] == 0x80 for packet in got):
            got += parser.feed(await receive(stranger))
        # The client's next check of its own, nominated as all of them are, takes media back.
        agent = link.client_peer.ice
        agent._consent_due_ms = 0.0  # type: ignore[attr-defined]
        link.client_peer._run_checks(client.now_ms())
        await until(lambda: link.server_peer.transport == "udp")
        server.send_batch(make_batch([(link.server_peer.index, [rtp(2)])]))
        await link.client.until(lambda: link.client.rtp == [rtp(2)])


async def test_slow_reader_is_gated_keeps_its_voice_and_costs_nobody() -> None:
    async with ports() as (server, client):
        fast_port = await MediaPort.open(port=0, client=True)
        try:
            fast, slow = await Link(server, fast_port).up(), await TcpLink(server, client).up()
            stream = only_stream(client, slow.client_peer)
            loop = asyncio.get_running_loop()
            stream._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # type: ignore[attr-defined]
            loop.remove_reader(stream._fd)  # type: ignore[attr-defined]
            sent = 0
            while slow.server.overflows == 0:
                packets = [rtp(sent + i, VIDEO_SSRC, 1200) for i in range(40)]
                sent += len(packets)
                trains = [(link.server_peer.index, packets) for link in (fast, slow)]
                server.send_batch(make_batch(trains))
                await fast.client.until(lambda: len(fast.client.rtp) >= sent)  # noqa: B023
            serving = only_stream(server, slow.server_peer)
            assert serving.choked  # type: ignore[attr-defined]
            assert serving.waiting_bytes < MAX_VIDEO_BYTES + 40 * 1300  # type: ignore[attr-defined]
            assert server.counters.drops[DropReason.SEND_QUEUE_FULL] > 100
            voice = [rtp(i, VOICE_SSRC, 80) for i in range(20)]
            for packet in voice:
                slow.server_peer.send_rtp(packet)
            for i in range(50):
                slow.server_peer.send_rtp(rtp(sent + i, VIDEO_SSRC, 1200))
            assert slow.server.overflows == 1
            loop.add_reader(stream._fd, stream.on_readable)  # type: ignore[attr-defined]
            await slow.client.until(lambda: voice[-1] in slow.client.rtp)
            assert [p for p in slow.client.rtp if p[8:12] == voice[0][8:12]] == voice
            # A key frame that went by meanwhile is lost: gated once more, then all is well.
            await slow.server.until(lambda: slow.server.overflows == 2)
            keyframe = rtp(sent + 50, VIDEO_SSRC, 1200)
            slow.server_peer.send_rtp(keyframe)
            await slow.client.until(lambda: slow.client.rtp[-1] == keyframe)
            assert fast.server.overflows == 0
        finally:
            await fast_port.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", DropReason.TCP_FRAMING),
        (b"\x16\x03\x01\x02\x00\x01\x00", DropReason.TCP_FRAMING),
        (frame(b"\x80\x60" + bytes(40)), DropReason.TCP_UNNAMED),
        (frame(b"\x16\xfe\xfd" + bytes(40)), DropReason.TCP_UNNAMED),
        (frame(b"\x00" + bytes(19)) * 9, DropReason.TCP_UNNAMED),
    ],
)
async def test_what_names_no_peer_is_hung_up_on(
    stranger: socket.socket, data: bytes, reason: DropReason
) -> None:
    async with ports() as (server, _):
        await connected(stranger, server)
        stranger.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            assert await receive(stranger) == b""
        assert server.counters.drops[reason] == 1
        assert (server.streams.named, server.streams.unnamed) == (0, 0)


async def test_wrong_password_never_gets_in(stranger: socket.socket) -> None:
    async with ports() as (server, client):
        link = await Link(server, client).up()
        await connected(stranger, server)
        stranger.sendall(frame(check(link, password="guess")) * 9)
        with contextlib.suppress(ConnectionResetError):
            assert await receive(stranger) == b""
        assert server.counters.drops[DropReason.STUN_BAD_CREDENTIALS] == 9
        assert link.server_peer.transport == "udp"


async def test_misframed_bytes_on_a_peers_connection_end_it_and_not_the_session(
    stranger: socket.socket,
) -> None:
    async with ports() as (server, client):
        link = await Link(server, client).up()
        await connected(stranger, server)
        stranger.sendall(frame(check(link)))
        await until(lambda: link.server_peer.transport == "tcp")
        stranger.sendall(b"\xff\xffnonsense")
        await until(lambda: server.streams.named == 0)
        assert server.counters.drops[DropReason.TCP_FRAMING] == 1
        assert link.server_peer.remote_address is None
        assert not link.server_peer.closed


async def test_idle_connections_are_bounded_and_a_viewer_still_gets_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.transport.tcp_streams.UNNAMED_MS", 300.0)
    async with ports() as (server, client):
        with contextlib.ExitStack() as stack:
            idle = []
            for _ in range(MAX_UNNAMED_PER_ADDRESS + 10):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                await connected(sock, server)
                idle.append(sock)
            await until(lambda: server.counters.drops[DropReason.TCP_REFUSED] == 10)
            assert server.streams.unnamed == MAX_UNNAMED_PER_ADDRESS
            # They all go when their time is up; ours was refused until then and came again.
            await TcpLink(server, client).up()
            for sock in idle:
                with contextlib.suppress(ConnectionResetError):
                    assert await receive(sock) == b""
        assert server.counters.drops[DropReason.TCP_UNNAMED] == MAX_UNNAMED_PER_ADDRESS
        assert (server.streams.named, server.streams.unnamed) == (1, 0)


async def test_connections_of_one_peer_are_bounded() -> None:
    async with ports() as (server, client):
        link = await TcpLink(server, client).up()
        selected = link.server_peer.ice.selected
        with contextlib.ExitStack() as stack:
            for _ in range(MAX_PER_PEER + 5):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                await connected(sock, server)
                sock.sendall(frame(check(link, nominate=False)))
                assert await receive(sock)
            assert server.streams.named == MAX_PER_PEER
            assert link.server_peer.ice.selected == selected


async def test_a_connection_that_dies_is_opened_anew_and_the_session_goes_on() -> None:
    async with ports() as (server, client):
        link = await TcpLink(server, client).up()
        before = link.server_peer.ice.selected
        only_stream(server, link.server_peer).close()  # type: ignore[attr-defined]
        assert link.server_peer.remote_address is None
        assert not link.server_peer.closed
        await until(lambda: link.server_peer.transport == "tcp")
        assert link.server_peer.ice.selected != before
        server.send_batch(make_batch([(link.server_peer.index, [rtp(7)])]))
        await link.client.until(lambda: link.client.rtp == [rtp(7)])
        assert not link.client.closed


async def test_a_connection_that_dies_gives_way_to_udp() -> None:
    async with ports() as (server, client):
        link = await TcpLink(server, client).up()
        link.client_peer.ice.tcp_only = False  # type: ignore[attr-defined]
        link.client_peer.add_remote_candidate(Candidate("1", 1, "udp", 9, "127.0.0.1", server.port))
        only_stream(server, link.server_peer).close()  # type: ignore[attr-defined]
        await until(lambda: (link.client_peer.remote_address or ("", 0))[1] == server.port)
        await until(lambda: link.server_peer.remote_address == ("127.0.0.1", client.port))
        link.client_peer.send_rtp(rtp(8))
        await link.server.until(lambda: link.server.rtp == [rtp(8)])
        assert link.server_peer.transport == "udp"


async def test_consent_ends_a_session_whose_connection_died() -> None:
    async with ports(consent_timeout_ms=200.0) as (server, client):
        link = await TcpLink(server, client).up()
        link.client_peer.ice._connects.clear()  # type: ignore[attr-defined]
        only_stream(server, link.server_peer).close()  # type: ignore[attr-defined]
        await link.server.until(lambda: bool(link.server.closed))
        assert link.server.closed == ["consent_expired"]


async def test_closing_the_port_leaves_nothing_open(stranger: socket.socket) -> None:
    async with ports() as (server, client):
        await TcpLink(server, client).up()
        number = server.port
    await server.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.get_running_loop().sock_connect(stranger, ("127.0.0.1", number))
