"""Two real media ports joined over loopback, and a handler that remembers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

import numpy as np

from relay.core.arena import PacketArena, SendBatch
from relay.transport import Candidate, CloseReason, MediaPort, Peer, PeerParameters
from relay.transport.parameters import DtlsRole

WAIT_S = 10.0


class Recorder:
    """A PeerHandler that keeps everything and can be awaited."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.rtp: list[bytes] = []
        self.bursts: list[int] = []
        self.rtcp: list[bytes] = []
        self.overflows = 0
        self.closed: list[CloseReason] = []
        self._changed = asyncio.Event()

    def on_peer_connected(self, peer: Peer) -> None:
        self.connected.set()
        self._changed.set()

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        self.rtp += packets
        self.bursts.append(len(packets))
        self._changed.set()

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        self.rtcp.append(packet)
        self._changed.set()

    def on_send_overflow(self, peer: Peer) -> None:
        self.overflows += 1
        self._changed.set()

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        self.closed.append(reason)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that this handler hears of makes the condition true."""

        async def wait() -> None:
            while not condition():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), WAIT_S)


class Link:
    """A server peer and a client peer that know of each other."""

    def __init__(
        self,
        server: MediaPort,
        client: MediaPort,
        *,
        server_is_dtls_client: bool = False,
        hosts: tuple[str, ...] = ("127.0.0.1",),
        server_trusts: str | None = None,
        client_trusts: str | None = None,
    ) -> None:
        self.server, self.client = Recorder(), Recorder()
        s_ufrag, s_pwd = secrets.token_hex(4), secrets.token_hex(12)
        c_ufrag, c_pwd = secrets.token_hex(4), secrets.token_hex(12)
        roles: tuple[DtlsRole, DtlsRole] = (
            ("client", "server") if server_is_dtls_client else ("server", "client")
        )
        self.candidates = tuple(
            Candidate(str(i), 1, "udp", 1000 - i, host, server.port) for i, host in enumerate(hosts)
        )
        self.server_peer = server.add_peer(
            PeerParameters(
                s_ufrag,
                s_pwd,
                c_ufrag,
                c_pwd,
                (("sha-256", server_trusts or client.fingerprint),),
                roles[0],
                "lite",
            ),
            self.server,
        )
        self.client_peer = client.add_peer(
            PeerParameters(
                c_ufrag,
                c_pwd,
                s_ufrag,
                s_pwd,
                (("sha-256", client_trusts or server.fingerprint),),
                roles[1],
                "controlling",
                self.candidates,
            ),
            self.client,
        )

    async def up(self) -> Link:
        """Both sides connected."""
        async with asyncio.timeout(WAIT_S):
            await self.server.connected.wait()
            await self.client.connected.wait()
        return self


@contextlib.asynccontextmanager
async def two_ports(**options: object) -> AsyncIterator[tuple[MediaPort, MediaPort]]:
    """(server, client), closed at the end."""
    server = await MediaPort.open(port=0, **options)  # type: ignore[arg-type]
    client = await MediaPort.open(port=0, client=True)
    try:
        yield server, client
    finally:
        await client.close()
        await server.close()


def rtp(seq: int, ssrc: int = 0x1234, size: int = 100, timestamp: int = 0) -> bytes:
    """A clear RTP packet of `size` bytes."""
    header = (
        b"\x80\x60"
        + (seq & 0xFFFF).to_bytes(2, "big")
        + timestamp.to_bytes(4, "big")
        + ssrc.to_bytes(4, "big")
    )
    return header + bytes([seq & 0xFF]) * (size - len(header))


def make_batch(
    trains: list[tuple[int, list[bytes]]], arena: PacketArena | None = None
) -> SendBatch:
    """A batch of (peer index, packets of one train)."""
    packets = [packet for _, train in trains for packet in train]
    arena = arena or PacketArena(max(1, len(packets)))
    for i, packet in enumerate(packets):
        arena.rows[i, : len(packet)] = np.frombuffer(packet, np.uint8)
        arena.lengths[i] = len(packet)
    return SendBatch(
        arena,
        len(packets),
        np.array([index for index, _ in trains], np.int32),
        np.array([len(train) for _, train in trains], np.int32),
    )
