"""recvmmsg, sendmmsg, UDP GSO and GRO by cffi in ABI mode: nothing is compiled.

The structures are the 64-bit Linux ones, alike on x86_64 and aarch64; they are numpy arrays, so
that a batch is filled by a few vector assignments. `man 2 sendmmsg`, `man 7 udp`, `man 7 ip`.
"""

from __future__ import annotations

import errno
import functools
import platform
import socket
import struct
from collections.abc import Iterator
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

MSGHDR_BYTES = 64
MMSGHDR = np.dtype(
    {
        "names": [
            "name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "bytes"
        ],
        "formats": [
            np.uint64, np.uint32, np.uint64, np.uint64, np.uint64, np.uint64, np.int32, np.uint32
        ],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": MSGHDR_BYTES,
    }
)  # fmt: skip
"""struct mmsghdr: a msghdr and the bytes that were moved."""

IOVEC = np.dtype([("base", np.uint64), ("bytes", np.uint64)])
"""struct iovec."""

AF_INET = int(socket.AF_INET)
AF_INET6 = int(socket.AF_INET6)
SOL_UDP = 17
UDP_SEGMENT = 103
UDP_GRO = 104
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DONT = 0
IP_PMTUDISC_OMIT = 5
SO_RCVBUFFORCE = 33
SO_SNDBUFFORCE = 32

MAX_GSO_SEGMENTS = 64
MAX_GSO_BYTES = 65_000
"""A message's UDP payload ends a little below 64 KB; the headers need the rest."""

SEND_CONTROL_BYTES = 64
SEGMENT_CONTROL_BYTES = 24
"""UDP_SEGMENT comes first in a send control block, so that a block without it starts behind."""
RECEIVE_CONTROL_BYTES = 128

_CMSG = struct.Struct("@Nii")
_SEGMENT = struct.Struct("@NiiH6x")
_PKTINFO4 = struct.Struct("@NiiI4s4s4x")
_PKTINFO6 = struct.Struct("@Nii16sI4x")
_CMSG_HEADER_BYTES = 16

_ffi = cffi.FFI()
_ffi.cdef(
    """
    int sendmmsg(int fd, void *messages, unsigned int count, int flags);
    int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout);
    """
)
_libc: Any = _ffi.dlopen(None)


def supported() -> bool:
    """This platform has the structures as laid out here."""
    return platform.system() == "Linux" and struct.calcsize("@P") == 8


def send_messages(fd: int, messages: npt.NDArray[np.void], start: int) -> int:
    """sendmmsg from `messages[start]` on: messages sent, or minus errno of the first."""
    count = len(messages) - start
    address = messages.ctypes.data + start * MSGHDR_BYTES
    sent: int = _libc.sendmmsg(fd, _ffi.cast("void *", address), count, socket.MSG_DONTWAIT)
    return sent if sent > 0 else -int(_ffi.errno)


class MessageBlock:
    """A cached pointer to an array of mmsghdr: what recvmmsg is called with again and again."""

    def __init__(self, messages: npt.NDArray[np.void]) -> None:
        self.messages = messages
        self._pointer = _ffi.cast("void *", messages.ctypes.data)
        self._count = len(messages)

    def receive(self, fd: int) -> int:
        """recvmmsg without waiting: messages received, or minus errno."""
        got: int = _libc.recvmmsg(fd, self._pointer, self._count, socket.MSG_DONTWAIT, _ffi.NULL)
        return got if got >= 0 else -int(_ffi.errno)

    def send(self, fd: int) -> int:
        """sendmmsg of the whole block: messages sent, or minus errno of the first."""
        sent: int = _libc.sendmmsg(fd, self._pointer, self._count, socket.MSG_DONTWAIT)
        return sent if sent > 0 else -int(_ffi.errno)


def send_control(family: int, local: str) -> tuple[bytes, int]:
    """A send control block, SEND_CONTROL_BYTES long, and the bytes of it in use.

    UDP_SEGMENT (segment size zero, to be filled in at offset 16) and then the local address to
    send from; "" leaves the choice to the routing table.
    """
    block = _SEGMENT.pack(18, SOL_UDP, UDP_SEGMENT, 0)
    if local:
        block += source_control(family, local)
    return block.ljust(SEND_CONTROL_BYTES, b"\0"), len(block)


def source_control(family: int, local: str) -> bytes:
    """IP_PKTINFO or IPV6_PKTINFO that sends from `local`."""
    packed = socket.inet_pton(family, local)
    if family == socket.AF_INET:
        return _PKTINFO4.pack(28, socket.IPPROTO_IP, IP_PKTINFO, 0, packed, bytes(4))
    return _PKTINFO6.pack(36, socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed, 0)


def parse_control(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(level, type, data) of each control message."""
    at = 0
    while at + _CMSG_HEADER_BYTES <= len(data):
        size, level, kind = _CMSG.unpack_from(data, at)
        if size < _CMSG_HEADER_BYTES or at + size > len(data):
            return
        yield level, kind, data[at + _CMSG_HEADER_BYTES : at + size]
        at += size + (-size & 7)


def local_address(control: bytes) -> str:
    """The address of ours that a datagram was sent to, or ""."""
    for level, kind, data in parse_control(control):
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) == 12:
            return socket.inet_ntop(socket.AF_INET, data[4:8])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and len(data) == 20:
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return ""


def pack_address(host: str, port: int) -> bytes:
    """sockaddr_in (16 bytes) or sockaddr_in6 (28 bytes). Raises OSError for no IP literal."""
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, packed, 0)
    packed = socket.inet_pton(socket.AF_INET, host)
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, packed)


def unpack_address(name: bytes) -> tuple[str, int]:
    """(host, port) of a sockaddr."""
    family = int.from_bytes(name[:2], "little" if _LITTLE else "big")
    port = int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, name[8:24]), port


_LITTLE = struct.pack("=H", 1) == b"\1\0"


@functools.cache
def probe_gso() -> bool:
    """The kernel takes UDP_SEGMENT (Linux 4.18): ask a socket, and send a train to itself."""
    if not supported():
        return False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            control = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", 4))]
            probe.sendmsg([b"probe-it"], control, socket.MSG_DONTWAIT, probe.getsockname())
            return len(probe.recv(16, socket.MSG_DONTWAIT)) == 4
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EPERM):
            return False
        raise
