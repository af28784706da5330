"""One TCP connection of a port: non-blocking, framed, its queue our own.

The kernel is given little (SEND_BUFFER_BYTES, and NOTSENT_BYTES that it has not sent yet), so that
what waits waits in the FrameQueue, where it can still be thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Protocol

from relay.transport.ice import Path
from relay.transport.tcp_framing import FrameParser, FramingError
from relay.transport.tcp_queue import FrameQueue, Lane

SEND_BUFFER_BYTES = 64 * 1024
NOTSENT_BYTES = 16 * 1024
CHUNK_BYTES = 16 * 1024
"""Written at once; what the kernel leaves of it can no longer be thrown away."""
READ_BYTES = 64 * 1024
USER_TIMEOUT_MS = 10_000
"""Unacknowledged for so long: the line is dead, though nobody said so."""
LINGER_S = 1.0
"""How long a connection that we have ended may take to read what we said last."""


class StreamOwner(Protocol):
    """Who has the connections."""

    def on_frames(self, stream: TcpStream, packets: list[bytes]) -> None: ...

    def on_misframed(self, stream: TcpStream) -> None:
        """The other side does not speak RFC 4571."""

    def on_stream_closed(self, stream: TcpStream) -> None:
        """Exactly once, whoever ended it."""

    def on_written(self, packets: int, octets: int) -> None:
        """Handed to the kernel: packets, and their bytes without the lengths."""

    def on_stream_overflow(self, stream: TcpStream, packets: int, gate: bool) -> None: ...


class TcpStream:
    """A connection that is open. number: its own among all of the port, never 0, never reused.

    path: what ICE knows it by. peer_index: of the peer that it belongs to, None while unnamed.
    frames: packets that have come while it was unnamed.
    """

    def __init__(
        self, sock: socket.socket, number: int, owner: StreamOwner, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Raises OSError when the connection is gone already."""
        self.path = Path(plain(sock.getpeername()), plain(sock.getsockname())[0], number)
        self.number = number
        self.peer_index: int | None = None
        self.frames = 0
        self.closed = False
        self._socket = sock
        self._fd = sock.fileno()
        self._owner = owner
        self._loop = loop
        self._parser = FrameParser()
        self._queue = FrameQueue(self._on_overflow)
        self._rest = b""
        self._blocked = False
        self._flushing = False
        self._ending = False
        tune(sock)
        loop.add_reader(self._fd, self.on_readable)

    @property
    def waiting_bytes(self) -> int:
        """Not taken by the kernel yet."""
        return len(self._rest) + self._queue.octets

    @property
    def choked(self) -> bool:
        """Video is being thrown away."""
        return self._queue.choked

    def push(self, packet: bytes, lane: Lane) -> None:
        """Queue a packet; packets of one turn of the loop are written together."""
        if self.closed or self._ending:
            return
        self._queue.push(packet, lane, self._now_ms())
        if not self._blocked and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def on_readable(self) -> None:
        """Read once and hand on; the loop comes back when there is more."""
        if self.closed:
            return
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if self._ending:
            return
        try:
            packets = self._parser.feed(data)
        except FramingError:
            self._owner.on_misframed(self)
            self.close()
            return
        if packets:
            self._owner.on_frames(self, packets)

    def finish(self) -> None:
        """Write what waits, say that no more comes, close when the other side has read it."""
        if self.closed or self._ending:
            return
        self._flush()
        if self.closed or self._blocked:
            self.close()
            return
        self._ending = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._loop.call_later(LINGER_S, self.close)

    def close(self) -> None:
        """At once. May be called twice."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._fd)
        if self._blocked:
            self._loop.remove_writer(self._fd)
        self._socket.close()
        self._owner.on_stream_closed(self)

    # -- inside

    def _now_ms(self) -> float:
        return self._loop.time() * 1000

    def _flush(self) -> None:
        self._flushing = False
        while not self.closed:
            if not self._rest:
                self._rest, packets = self._queue.take(CHUNK_BYTES, self._now_ms())
                if not packets:
                    self._unblock()
                    self._queue.on_empty()
                    return
                self._owner.on_written(packets, len(self._rest) - 2 * packets)
            try:
                sent = self._socket.send(self._rest)
            except (BlockingIOError, InterruptedError):
                self._block()
                return
            except OSError:
                self.close()
                return
            self._rest = self._rest[sent:]

    def _block(self) -> None:
        if not self._blocked and not self._ending:
            self._blocked = True
            self._loop.add_writer(self._fd, self._flush)

    def _unblock(self) -> None:
        if self._blocked:
            self._blocked = False
            self._loop.remove_writer(self._fd)

    def _on_overflow(self, packets: int, gate: bool) -> None:
        self._owner.on_stream_overflow(self, packets, gate)


def tune(sock: socket.socket) -> None:
    """Send at once, keep little, notice a dead line."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def plain(name: tuple[str, int] | tuple[str, int, int, int]) -> tuple[str, int]:
    """A socket address without flow and scope."""
    return name[0], name[1]
