"""A bad line with real sockets, and media over it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.netns.link_load import measure
from tests.netns.link_model import LinkDrop, LinkSettings
from tests.netns.udp_link import UdpLink

TIMEOUT_S = 5.0


def opened() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with opened() as made:
        yield made


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with opened() as made:
        yield made


@pytest.fixture
async def link(server: socket.socket, client: socket.socket) -> AsyncIterator[UdpLink]:
    """A line between the two; the client is connected to it."""
    async with UdpLink(server.getsockname()) as link:
        client.connect(link.address)
        yield link


async def received(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    async with asyncio.timeout(TIMEOUT_S):
        return await asyncio.get_running_loop().sock_recvfrom(sock, 65_536)


async def nothing(sock: socket.socket, *, within_s: float = 0.1) -> bool:
    """Nothing comes; the time is for what should not come."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await asyncio.get_running_loop().sock_recv(sock, 65_536)
            return False
    return True


async def test_packets_pass_both_ways(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    client.send(b"question")
    data, source = await received(server)
    assert data == b"question"
    assert source == link.seen_as(client.getsockname())
    server.sendto(b"answer", source)
    assert (await received(client))[0] == b"answer"
    assert (link.delivered("up"), link.delivered("down")) == (1, 1)


async def test_each_client_has_a_port_of_its_own(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    with opened() as second:
        second.connect(link.address)
        client.send(b"1")
        first_seen = (await received(server))[1]
        second.send(b"2")
        second_seen = (await received(server))[1]
        server.sendto(b"to 1", first_seen)
        server.sendto(b"to 2", second_seen)
        assert (await received(client))[0] == b"to 1"
        assert (await received(second))[0] == b"to 2"
    assert len(link.clients) == 2


async def test_rebinding_shows_the_server_another_port_and_address(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    client.send(b"before")
    _, before = await received(server)
    link.rebind()
    client.send(b"after")
    _, after = await received(server)
    assert after[0] == before[0]
    assert after[1] != before[1]
    server.sendto(b"to the old port", before)
    server.sendto(b"to the new port", after)
    assert (await received(client))[0] == b"to the new port"
    link.rebind(client.getsockname(), host="127.0.0.9")
    client.send(b"from elsewhere")
    assert (await received(server))[1][0] == "127.0.0.9"


async def test_a_paused_line_is_silent_and_a_resumed_one_works(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    client.send(b"before")
    _, source = await received(server)
    link.pause()
    client.send(b"lost")
    server.sendto(b"lost", source)
    assert await nothing(server)
    assert await nothing(client)
    link.resume()
    client.send(b"after")
    assert (await received(server))[0] == b"after"
    assert link.drops() == {LinkDrop.CUT: 2}


async def test_a_held_line_delivers_everything_when_it_runs_again(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    link.hold()
    for number in range(20):
        client.send(str(number).encode())
    assert await nothing(server)
    link.resume()
    assert [(await received(server))[0] for _ in range(20)] == [
        str(number).encode() for number in range(20)
    ]


async def test_packets_are_delayed_and_arrive_by_themselves(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    link.set("up", delay_ms=60)
    begun_s = loop.time()
    client.send(b"late")
    _, source = await received(server)
    assert loop.time() - begun_s >= 0.06
    server.sendto(b"the way back has no delay", source)
    await received(client)


async def test_loss_is_seeded_and_can_be_set_while_packets_flow(
    link: UdpLink, server: socket.socket, client: socket.socket
) -> None:
    link.set(loss=0.25)
    for _ in range(40):
        for _ in range(50):
            client.send(bytes(100))
        await asyncio.sleep(0)  # the link takes its turn
    async with asyncio.timeout(TIMEOUT_S):
        while link.delivered() + link.drops().total() < 2000:
            await asyncio.sleep(0.01)
    assert link.own_losses() == 0
    assert 400 < link.drops()[LinkDrop.LOST] < 600
    with pytest.raises(ValueError, match="loss"):
        link.set(loss=2)
    with pytest.raises(TypeError):
        link.set(los=0.1)


async def test_a_server_that_is_not_there_is_silence_to_the_client() -> None:
    with opened() as gone, opened() as client:
        target = gone.getsockname()
        gone.close()
        async with UdpLink(target) as link:
            client.connect(link.address)
            for _ in range(3):
                client.send(b"anybody?")
            assert await nothing(client)


async def test_a_shared_line_has_one_rate_for_all(server: socket.socket) -> None:
    settings = LinkSettings(rate_kbit=100, queue_ms=50)
    async with UdpLink(server.getsockname(), up=settings, shared=True) as link:
        with opened() as first, opened() as second:
            for _ in range(10):
                for client in (first, second):
                    client.sendto(bytes(472), link.address)  # 40 ms each
            assert len((await received(server))[0]) == 472
            async with asyncio.timeout(TIMEOUT_S):
                while link.delivered() + link.drops().total() < 20:
                    await asyncio.sleep(0.01)
        assert link.drops()[LinkDrop.QUEUE_FULL] >= 15


@pytest.mark.parametrize("delay_ms", [0.0, 40.0])
async def test_63_viewers_lose_nothing_on_the_link_itself(delay_ms: float) -> None:
    load = await measure(63, 2, LinkSettings(delay_ms=delay_ms))
    print(load)
    assert load.own_losses == 0
    assert (load.arrived, load.answers) == (load.sent, load.answers_sent)
