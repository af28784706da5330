"""The listening TCP sockets of a port, and connections that we open: `connect` for clients."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.transport.udp_socket import bind_hosts

BACKLOG = 128
ACCEPTS_PER_WAKE = 64
NO_DESCRIPTOR_PAUSE_S = 0.5
CONNECT_TIMEOUT_S = 3.0
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True)
class TcpPorts:
    """Where to listen for ICE-TCP. port: 0 is the UDP port's number. extra_port: a second one that
    strict networks let through, 0 for none."""

    port: int = 0
    extra_port: int = 0

    def numbers(self, udp_port: int) -> tuple[int, ...]:
        """Ports to bind, the first preferred."""
        wanted = (self.port or udp_port, self.extra_port)
        return tuple(dict.fromkeys(number for number in wanted if number))


def listening_sockets(
    ports: Sequence[int], addresses: Sequence[str] | None, families: Sequence[int]
) -> list[socket.socket]:
    """One socket per port and family. Raises OSError, naming the port, and leaves none open."""
    opened: list[socket.socket] = []
    try:
        for port in ports:
            for family, host in bind_hosts(addresses, client=False):
                if family in families:
                    opened.append(_listening(family, host, port))
    except OSError as error:
        for sock in opened:
            sock.close()
        raise OSError(error.errno, f"TCP port {port}: {error.strerror}") from error
    return opened


def _listening(family: int, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


class TcpListener:
    """Accepts on one socket until closed. on_connection: takes a non-blocking socket."""

    def __init__(
        self,
        sock: socket.socket,
        on_connection: Callable[[socket.socket], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._socket = sock
        self._on_connection = on_connection
        self._loop = loop
        self._pause: asyncio.TimerHandle | None = None
        loop.add_reader(sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._rest()
                    return
                continue  # it went away before we looked
            connection.setblocking(False)
            self._on_connection(connection)

    def _rest(self) -> None:
        """No descriptors: a socket that stays readable would spin the loop."""
        self._loop.remove_reader(self._socket.fileno())
        self._pause = self._loop.call_later(
            NO_DESCRIPTOR_PAUSE_S, self._loop.add_reader, self._socket.fileno(), self._accept
        )

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


class Connector:
    """A connection that is being opened; `done` is called once, with None if it fails."""

    def __init__(
        self,
        address: tuple[str, int],
        done: Callable[[Connector, socket.socket | None], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._done = done
        self._loop = loop
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket: socket.socket | None = None
        self._timer = loop.call_later(CONNECT_TIMEOUT_S, self._settle, False)
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            code = self._socket.connect_ex(address)
        except OSError:
            code = errno.EAFNOSUPPORT
        if code in (0, errno.EINPROGRESS) and self._socket is not None:
            loop.add_writer(self._socket.fileno(), self._on_writable)
        else:
            # Never from within the constructor: the caller does not know us yet.
            loop.call_soon(self._settle, False)

    def _on_writable(self) -> None:
        if self._socket is not None:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._settle(code == 0)

    def _settle(self, connected: bool) -> None:
        sock = self._release()
        if sock is not None and not connected:
            sock.close()
        done, self._done = self._done, _ignore
        done(self, sock if connected else None)

    def _release(self) -> socket.socket | None:
        self._timer.cancel()
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):
                self._loop.remove_writer(sock.fileno())
        return sock

    def cancel(self) -> None:
        """Give it up without a word."""
        self._done = _ignore
        sock = self._release()
        if sock is not None:
            sock.close()


def _ignore(connector: Connector, sock: socket.socket | None) -> None:
    """Told already."""
