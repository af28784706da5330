"""The UDP sockets of a port: one per address family, same port number."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Sequence

from relay.transport import kernel
from relay.transport.ice import Path

SERVER_BUFFER_BYTES = 8 << 20
CLIENT_BUFFER_BYTES = 1 << 20
BIND_ATTEMPTS = 16
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class UdpSocket:
    """A bound non-blocking socket that tells and chooses local addresses.

    gro: datagrams of one sender may arrive joined (UDP_GRO).
    """

    def __init__(self, family: int, host: str, port: int, *, buffer_bytes: int, gro: bool) -> None:
        self.family = family
        self.gro = False
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._configure(buffer_bytes, gro)
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.fd = self.socket.fileno()
        self.port: int = self.socket.getsockname()[1]
        self._controls: dict[str, list[tuple[int, int, bytes]]] = {"": []}

    def _configure(self, buffer_bytes: int, gro: bool) -> None:
        sock = self.socket
        sock.setblocking(False)
        if self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, kernel.IP_PKTINFO, 1)
            _let_routers_fragment(sock)
        for force, plain in (
            (kernel.SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (kernel.SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, buffer_bytes)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, plain, buffer_bytes)
        if gro:
            with contextlib.suppress(OSError):  # before Linux 5.0: datagrams come one by one
                sock.setsockopt(kernel.SOL_UDP, kernel.UDP_GRO, 1)
                self.gro = True

    def send(self, data: bytes, path: Path) -> int:
        """One datagram. Returns 0 or an errno: EAGAIN and ENOBUFS mean try again later."""
        control = self._controls.get(path.local)
        if control is None:
            control = self._controls[path.local] = [self._source(path.local)]
        try:
            self.socket.sendmsg([data], control, 0, path.remote)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _source(self, local: str) -> tuple[int, int, bytes]:
        packed = socket.inet_pton(self.family, local)
        if self.family == socket.AF_INET:
            return socket.IPPROTO_IP, kernel.IP_PKTINFO, struct.pack("=I4s4x", 0, packed)
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16sI", packed, 0)

    def close(self) -> None:
        self.socket.close()


def _let_routers_fragment(sock: socket.socket) -> None:
    """IPv4 without DF, whatever ICMP says: a line of a small MTU is played over even where ICMP is
    filtered, nobody can forge a path down to crumbs, and trains go on. IPv6 has no such choice: the
    kernel fragments at the source, once a router has said so."""
    try:
        sock.setsockopt(socket.IPPROTO_IP, kernel.IP_MTU_DISCOVER, kernel.IP_PMTUDISC_OMIT)
    except OSError:  # before Linux 3.15
        sock.setsockopt(socket.IPPROTO_IP, kernel.IP_MTU_DISCOVER, kernel.IP_PMTUDISC_DONT)


def open_sockets(port: int, addresses: Sequence[str] | None, *, client: bool) -> list[UdpSocket]:
    """Sockets on one port number, IPv4 first; port 0 takes any that is free for both.

    addresses: what to serve; None is every address. A lone address of a family is bound itself,
    several are served from the wildcard address. A client gets IPv4 only.
    Raises OSError when the port cannot be bound.
    """
    hosts = bind_hosts(addresses, client)
    buffer_bytes = CLIENT_BUFFER_BYTES if client else SERVER_BUFFER_BYTES
    for attempt in range(BIND_ATTEMPTS):
        sockets: list[UdpSocket] = []
        try:
            for family, host in hosts:
                number = sockets[0].port if sockets else port
                try:
                    sockets.append(
                        UdpSocket(family, host, number, buffer_bytes=buffer_bytes, gro=client)
                    )
                except OSError as error:
                    if family == socket.AF_INET6 and sockets and error.errno in _NO_IPV6:
                        continue
                    raise
        except OSError as error:
            for opened in sockets:
                opened.close()
            if port != 0 or error.errno != errno.EADDRINUSE or attempt == BIND_ATTEMPTS - 1:
                raise
        else:
            return sockets
    raise OSError(errno.EADDRINUSE, "no port number is free for both families")


def bind_hosts(addresses: Sequence[str] | None, client: bool) -> list[tuple[int, str]]:
    """(family, host) of each socket that serves `addresses`."""
    if not addresses:
        wildcard = [(int(socket.AF_INET), "0.0.0.0")]
        return wildcard if client else [*wildcard, (int(socket.AF_INET6), "::")]
    hosts: list[tuple[int, str]] = []
    for family, everything in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        wanted = [a for a in addresses if (":" in a) == (family == socket.AF_INET6)]
        if wanted:
            hosts.append((int(family), wanted[0] if len(wanted) == 1 else everything))
    return hosts
