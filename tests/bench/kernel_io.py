"""recvmmsg and sendmmsg of the C library (cffi ABI mode, nothing compiled) over numpy memory.

The message headers are numpy records with the layout of 64-bit Linux, so that filling and reading
them for a whole batch is a handful of vector operations.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

ffi = cffi.FFI()
ffi.cdef(
    """
    int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout);
    int sendmmsg(int fd, void *messages, unsigned int count, int flags);
    int prctl(int option, unsigned long value, ...);
    """
)
libc: Any = ffi.dlopen(None)

SO_TIMESTAMPNS = 35
SO_MEMINFO = 55
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
_PR_SET_PDEATHSIG = 1
_MSG_DONTWAIT = 0x40
_CONTROL_BYTES = 128
_STAMP_CONTROL_BYTES = 32
_RECEIVE_BUFFER_BYTES = 4 << 20

MMSGHDR = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "len"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
IOVEC = np.dtype([("base", "u8"), ("len", "u8")])


def die_with_parent() -> None:
    """A bench child never outlives the process that started it."""
    libc.prctl(_PR_SET_PDEATHSIG, ffi.cast("unsigned long", 15))


def address_of(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def open_sockets(count: int, gro: bool) -> list[socket.socket]:
    """One UDP socket a viewer, on any local address, with deep buffers and kernel time stamps."""
    sockets = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if gro:
            sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        sock.bind(("0.0.0.0", 0))
        sockets.append(sock)
    return sockets


def socket_drops(sockets: Sequence[socket.socket]) -> int:
    """Datagrams that the kernel dropped because these sockets' buffers were full."""
    infos = (sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36) for sock in sockets)
    return sum(int(struct.unpack("9I", info)[8]) for info in infos)


@dataclass(frozen=True)
class Received:
    """Datagrams of one drain, GRO trains cut apart; all arrays have one entry a datagram.

    offset: where it begins in Receiver.memory. length: bytes. viewer: index of the socket that it
    came to. stamp_ns: kernel receive time, CLOCK_REALTIME.
    """

    offset: I64
    length: I64
    viewer: I64
    stamp_ns: I64


class Receiver:
    """Drains the sockets of `open_sockets` into one memory, `slots` messages at a time."""

    def __init__(self, sockets: Sequence[socket.socket], gro: bool, slots: int = 512) -> None:
        self._descriptors = [sock.fileno() for sock in sockets]
        self._at = 0
        self._slots = slots
        slot_bytes = 65536 if gro else 2048
        self.memory: U8 = np.zeros(slots * slot_bytes, np.uint8)
        self._control: U8 = np.zeros((slots, _CONTROL_BYTES), np.uint8)
        self._control_i32 = self._control.view(np.int32)
        self._control_i64 = self._control.view(np.int64)
        rows = np.arange(slots)
        self._iov = np.zeros(slots, IOVEC)
        self._iov["base"] = address_of(self.memory) + rows * slot_bytes
        self._iov["len"] = slot_bytes
        self._head = np.zeros(slots, MMSGHDR)
        self._head["iov"] = address_of(self._iov) + rows * IOVEC.itemsize
        self._head["iovlen"] = 1
        self._head["control"] = address_of(self._control) + rows * _CONTROL_BYTES
        base = address_of(self._head)
        self._pointers = [ffi.cast("void *", base + row * MMSGHDR.itemsize) for row in rows]
        self._base = np.arange(slots, dtype=np.int64) * slot_bytes
        self._owner: I64 = np.zeros(slots, np.int64)

    def drain(self) -> Iterator[Received]:
        """Batches until every socket was seen empty once; each is valid until the next."""
        self._at = 0
        while self._at < len(self._descriptors):
            got = self._fill()
            if got:
                yield self._cut(got)

    def drain_one(self, index: int) -> Iterator[Received]:
        """Batches of one socket."""
        while got := self._receive(index, 0):
            self._owner[:got] = index
            yield self._cut(got)

    def _fill(self) -> int:
        self._head["controllen"] = _CONTROL_BYTES
        used = 0
        while self._at < len(self._descriptors) and used < self._slots:
            got = self._receive(self._at, used)
            self._owner[used : used + got] = self._at
            used += got
            if used < self._slots:
                self._at += 1
        return used

    def _receive(self, index: int, used: int) -> int:
        if used == 0:
            self._head["controllen"] = _CONTROL_BYTES
        got: int = libc.recvmmsg(
            self._descriptors[index],
            self._pointers[used],
            self._slots - used,
            _MSG_DONTWAIT,
            ffi.NULL,
        )
        if got < 0:
            if ffi.errno not in (errno.EAGAIN, errno.EINTR):
                raise OSError(ffi.errno, os.strerror(ffi.errno))
            return 0
        return got

    def _cut(self, got: int) -> Received:
        """Read control messages (time stamp, then segment size if any) and cut trains apart."""
        i32, i64 = self._control_i32[:got], self._control_i64[:got]
        length = self._head["len"][:got].astype(np.int64)
        stamp_ns = i64[:, 2] * 1_000_000_000 + i64[:, 3]
        has_segment = (
            (self._head["controllen"][:got] > _STAMP_CONTROL_BYTES)
            & (i32[:, 10] == SOL_UDP)
            & (i32[:, 11] == UDP_GRO)
        )
        segment = np.where(has_segment, i32[:, 12], np.maximum(length, 1)).astype(np.int64)
        pieces = np.maximum((length + segment - 1) // segment, 1)
        owner = self._owner[:got].copy()
        if int(pieces.max()) == 1:
            return Received(self._base[:got], length, owner, stamp_ns)
        row = np.repeat(np.arange(got), pieces)
        within = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = within * segment[row]
        return Received(
            offset=self._base[row] + start,
            length=np.minimum(segment[row], length[row] - start),
            viewer=owner[row],
            stamp_ns=stamp_ns[row],
        )
