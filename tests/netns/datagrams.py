"""Plain UDP between hosts of a test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from tests.netns.hosts import Host

TIMEOUT_S = 5.0
BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
Address = tuple[str, int]


class Flow:
    """A socket at a client, connected to one at a server."""

    def __init__(self, server: Host, client: Host, *, ipv6: bool = False) -> None:
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        self.server = server.socket(family)
        self.client = client.socket(family)
        for one in (self.server, self.client):
            one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        self.server.bind((server.address6 if ipv6 else server.address, 0))
        self.port: int = self.server.getsockname()[1]
        self.client.connect(self.server.getsockname())

    async def ask(self, data: bytes) -> Address:
        """To the server and back again; who the server takes the client for."""
        loop = asyncio.get_running_loop()
        self.client.send(data)
        async with asyncio.timeout(TIMEOUT_S):
            got, source = await loop.sock_recvfrom(self.server, 65_536)
            assert got == data
            await loop.sock_sendto(self.server, b"re " + data, source)
            assert await loop.sock_recv(self.client, 65_536) == b"re " + data
        return source[0], source[1]

    def close(self) -> None:
        self.server.close()
        self.client.close()


@contextlib.contextmanager
def flow(server: Host, client: Host, *, ipv6: bool = False) -> Iterator[Flow]:
    """A flow that is closed at the end."""
    one = Flow(server, client, ipv6=ipv6)
    try:
        yield one
    finally:
        one.close()


def waiting(sock: socket.socket) -> list[bytes]:
    """What has arrived by now. Lines between hosts have no delay: what was sent has arrived, or
    never will, unless a rate holds it up."""
    arrived = []
    with contextlib.suppress(BlockingIOError):
        while True:
            arrived.append(sock.recv(65_536))
    return arrived
