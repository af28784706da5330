"""Sockets of a crowd: one cheap UDP socket a viewer, one receive buffer and one poll for all.

A load client must not be what is measured: trains come whole by UDP GRO, packets are counted by
their clear RTP headers and never decrypted; only RTCP, a few a second, is.
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys
import time
from typing import Protocol

UDP_GRO = 104
RECEIVE_BUFFER_BYTES = 65536
SOCKET_BUFFER_BYTES = 1 << 20
MAX_ROUNDS_PER_WAKEUP = 8
MAX_EVENTS = 512
_CONTROL_BYTES = socket.CMSG_SPACE(4)


class CrowdMember(Protocol):
    """What a socket reports to."""

    def on_train(self, data: memoryview, size: int, segment: int, now_ms: float) -> None:
        """`size` bytes of SRTP or SRTCP packets, each `segment` long but for the last."""

    def on_control(self, data: bytes, source: tuple[str, int], now_ms: float) -> None:
        """A STUN or DTLS datagram."""

    def on_refused(self) -> None:
        """The system says that nobody listens at the other end (ICMP)."""

    def on_tick(self, now_ms: float) -> None:
        """Timers."""


class CrowdSockets:
    """Opens sockets, and reads all of them through one epoll descriptor in the event loop."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._buffer = bytearray(RECEIVE_BUFFER_BYTES)
        self._buffers = [self._buffer]
        self._view = memoryview(self._buffer)
        self._members: dict[int, tuple[socket.socket, CrowdMember]] = {}

    def open(self, family: int, member: CrowdMember) -> socket.socket:
        """A bound, non-blocking socket that reports to `member` until `release`."""
        if self._epoll is None:
            self._loop = asyncio.get_running_loop()
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._on_readable, self._epoll)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        _enable_gro(sock)
        sock.bind(("", 0))
        self._members[sock.fileno()] = (sock, member)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return sock

    def release(self, sock: socket.socket) -> None:
        """Close one socket; harmless if it is closed already."""
        number = sock.fileno()
        if number >= 0 and self._members.pop(number, None) is not None:
            if self._epoll is not None:
                self._epoll.unregister(number)
            sock.close()

    def on_tick(self, now_ms: float) -> None:
        """Timers of all members."""
        for _, member in list(self._members.values()):
            member.on_tick(now_ms)

    def close(self) -> None:
        """Close everything; `open` may begin anew."""
        for sock, _ in list(self._members.values()):
            self.release(sock)
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def _on_readable(self, epoll: select.epoll) -> None:
        """One read a socket and round: asking an empty socket again costs more than the poll."""
        members = self._members
        for _ in range(MAX_ROUNDS_PER_WAKEUP):
            ready = epoll.poll(0, MAX_EVENTS)
            if not ready:
                return
            now_ms = time.monotonic() * 1000
            for number, _ in ready:
                entry = members.get(number)
                if entry is not None:
                    self._read(entry[0], entry[1], now_ms)

    def _read(self, sock: socket.socket, member: CrowdMember, now_ms: float) -> None:
        try:
            size, control, _, source = sock.recvmsg_into(self._buffers, _CONTROL_BYTES)
        except ConnectionRefusedError:
            member.on_refused()
            return
        except OSError:
            # Nothing there after all: the next round tells.
            return
        if not size:
            return
        if 128 <= self._buffer[0] <= 191:
            segment = int.from_bytes(control[0][2], sys.byteorder) if control else size
            member.on_train(self._view, size, segment or size, now_ms)
        else:
            member.on_control(bytes(self._view[:size]), (source[0], source[1]), now_ms)


def _enable_gro(sock: socket.socket) -> None:
    """Trains whole, where the kernel can; else packets one by one, which works as well."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    except OSError:
        return
