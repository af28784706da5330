"""Draining a socket by recvmmsg into memory that all ports of an event loop share.

A drained batch is looked at and copied out before the next one comes, so one block serves any
number of ports: a crowd of clients in one process costs no receive memory of its own.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from relay.transport import kernel
from relay.transport.ice import Path
from relay.transport.kernel import MessageBlock

AddressKey = int | bytes
"""A remote address as a dictionary key: 64 bits for IPv4, port and address for IPv6."""

BATCH_MESSAGES = 64
MESSAGE_BYTES = 2048
GRO_MESSAGES = 32
GRO_MESSAGE_BYTES = 1 << 16
_NAME_BYTES = 32
_TRUNCATED = int(socket.MSG_TRUNC)


def address_key(host: str, port: int) -> AddressKey:
    """The key under which packets from this address arrive. Raises OSError for no IP literal."""
    return _key_of(kernel.pack_address(host, port))


def _key_of(name: bytes) -> AddressKey:
    if len(name) == 16:
        return int.from_bytes(name[:8], sys.byteorder)
    return name[2:4] + name[8:24]


class ReceiveBlock:
    """Room for one recvmmsg. gro: messages may hold several datagrams of one sender."""

    def __init__(self, *, gro: bool) -> None:
        count, size = (GRO_MESSAGES, GRO_MESSAGE_BYTES) if gro else (BATCH_MESSAGES, MESSAGE_BYTES)
        self.capacity = count
        self._gro = gro
        self._stride = size
        self._data: npt.NDArray[np.uint8] = np.empty((count, size), np.uint8)
        self._names = np.zeros((count, _NAME_BYTES), np.uint8)
        self._control = np.zeros((count, kernel.RECEIVE_CONTROL_BYTES), np.uint8)
        self._iovecs = np.zeros(count, kernel.IOVEC)
        self._messages = np.zeros(count, kernel.MMSGHDR)
        at = np.arange(count, dtype=np.uint64)
        self._iovecs["base"] = np.uint64(self._data.ctypes.data) + at * np.uint64(size)
        self._iovecs["bytes"] = size
        m = self._messages
        m["name"] = np.uint64(self._names.ctypes.data) + at * np.uint64(_NAME_BYTES)
        m["iov"] = np.uint64(self._iovecs.ctypes.data) + at * np.uint64(self._iovecs.itemsize)
        m["iovlen"] = 1
        m["control"] = np.uint64(self._control.ctypes.data) + at * np.uint64(
            kernel.RECEIVE_CONTROL_BYTES
        )
        self._block = MessageBlock(m)
        self._view = self._data.data.cast("B")
        # A structured array's fields are looked up by name each time: once is enough.
        self._sizes = m["bytes"]
        self._flags = m["flags"]
        self._name_lengths = m["namelen"]
        self._control_lengths = m["controllen"]
        self._keys4 = self._names.view(np.uint64)[:, 0]
        self._used = count
        self._family = 0

    def receive(self, fd: int, family: int) -> int:
        """Messages received, or minus errno."""
        # The kernel has shortened the lengths of the messages that it filled, no others.
        self._name_lengths[: self._used] = _NAME_BYTES
        self._control_lengths[: self._used] = kernel.RECEIVE_CONTROL_BYTES
        self._family = family
        count = self._block.receive(fd)
        self._used = max(count, 0)
        return count

    def datagrams(self, count: int) -> Iterator[tuple[memoryview, AddressKey, int]]:
        """(bytes, sender, message number) of each datagram in the first `count` messages.

        The view is of shared memory: copy what is to be kept. A datagram longer than the room
        for one is cut short and yielded empty.
        """
        sizes = self._sizes[:count].tolist()
        flags = self._flags[:count].tolist()
        segments = self._segments(count) if self._gro else None
        keys = self._keys(count)
        view = self._view
        for i in range(count):
            start = i * self._stride
            size = 0 if flags[i] & _TRUNCATED else sizes[i]
            segment = segments[i] if segments is not None else 0
            if not 0 < segment < size:
                yield view[start : start + size], keys[i], i
                continue
            for at in range(start, start + size, segment):
                yield view[at : min(at + segment, start + size)], keys[i], i

    def octets(self, count: int) -> int:
        """Payload bytes of the first `count` messages."""
        return sum(self._sizes[:count].tolist())

    def path(self, i: int) -> Path:
        """Where message `i` came from, and which of our addresses it was sent to."""
        length = int(self._control_lengths[i])
        control = self._control[i, :length].tobytes()
        return Path(kernel.unpack_address(self._names[i].tobytes()), kernel.local_address(control))

    def _keys(self, count: int) -> list[AddressKey]:
        if self._family == socket.AF_INET:
            keys: list[AddressKey] = self._keys4[:count].tolist()
            return keys
        return [_key_of(self._names[i, :28].tobytes()) for i in range(count)]

    def _segments(self, count: int) -> list[int]:
        """Segment size of each joined message, 0 for a single datagram; it is told first."""
        words = self._control[:count].view(np.int32)
        joined = (
            (self._control_lengths[:count] >= 20)
            & (words[:, 2] == kernel.SOL_UDP)
            & (words[:, 3] == kernel.UDP_GRO)
        )
        sizes: list[int] = np.where(joined, words[:, 4], 0).tolist()
        return sizes


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, ReceiveBlock]] = (
    WeakKeyDictionary()
)


def shared_block(loop: asyncio.AbstractEventLoop, *, gro: bool) -> ReceiveBlock:
    """The loop's receive memory, made when it is first needed."""
    blocks = _shared.setdefault(loop, {})
    if gro not in blocks:
        blocks[gro] = ReceiveBlock(gro=gro)
    return blocks[gro]
