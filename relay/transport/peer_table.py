"""What a send needs of each peer, as arrays indexed by Peer.index."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from relay.transport import kernel
from relay.transport.ice import Path

NAME_BYTES = 32
INDEX_GRACE_MS = 2_000.0
"""A closed peer's index rests this long, so that a batch made before cannot reach a newcomer."""
_FIRST_CAPACITY = 16
NO_SOCKET = -1
TCP_SLOT = 2
"""Not a socket but every connection: rows for it are sealed with the others and queued singly."""


class PeerTable:
    """Rows of addresses, control blocks and SRTP sessions.

    version: grows with every change, so that prepared sends know when they are stale.
    names: uint8[n, NAME_BYTES] sockaddr. controls: uint8[n, SEND_CONTROL_BYTES].
    slots: int8[n], 0 for the IPv4 socket, 1 for IPv6, TCP_SLOT, NO_SOCKET while there is no path.
    sessions: raw outbound srtp_t or None. gso: bool[n], the path takes trains.
    """

    def __init__(self, *, gso: bool) -> None:
        self.version = 0
        self._gso_default = gso
        self._used = 0
        self._resting: deque[tuple[float, int]] = deque()
        self._allocate(_FIRST_CAPACITY)

    def _allocate(self, capacity: int) -> None:
        self.names: npt.NDArray[np.uint8] = np.zeros((capacity, NAME_BYTES), np.uint8)
        self.name_lengths: npt.NDArray[np.uint32] = np.zeros(capacity, np.uint32)
        self.controls: npt.NDArray[np.uint8] = np.zeros(
            (capacity, kernel.SEND_CONTROL_BYTES), np.uint8
        )
        self.control_lengths: npt.NDArray[np.uint64] = np.zeros(capacity, np.uint64)
        self.slots: npt.NDArray[np.int8] = np.full(capacity, NO_SOCKET, np.int8)
        self.sessions: npt.NDArray[np.object_] = np.full(capacity, None, object)
        self.keyed: npt.NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self.gso: npt.NDArray[np.bool_] = np.full(capacity, self._gso_default, np.bool_)

    @property
    def capacity(self) -> int:
        return len(self.slots)

    def take_index(self, now_ms: float) -> int:
        """A free row."""
        if self._resting and self._resting[0][0] <= now_ms:
            return self._resting.popleft()[1]
        if self._used == self.capacity:
            self._grow()
        self._used += 1
        return self._used - 1

    def _grow(self) -> None:
        self.version += 1
        old = {
            name: getattr(self, name)
            for name in (
                "names", "name_lengths", "controls", "control_lengths", "slots", "sessions",
                "keyed", "gso",
            )
        }  # fmt: skip
        count = self.capacity
        self._allocate(count * 2)
        for name, values in old.items():
            getattr(self, name)[:count] = values

    def set_path(self, index: int, path: Path | None) -> None:
        """Where the peer's packets go; None while nothing is selected."""
        self.version += 1
        if path is None:
            self.slots[index] = NO_SOCKET
            return
        if path.stream:
            self.slots[index] = TCP_SLOT
            self.gso[index] = False
            return
        family = socket.AF_INET6 if ":" in path.remote[0] else socket.AF_INET
        name = kernel.pack_address(*path.remote)
        self.names[index, : len(name)] = np.frombuffer(name, np.uint8)
        self.name_lengths[index] = len(name)
        block, used = kernel.send_control(family, path.local)
        self.controls[index] = np.frombuffer(block, np.uint8)
        self.control_lengths[index] = used
        self.slots[index] = 0 if family == socket.AF_INET else 1
        self.gso[index] = self._gso_default

    def set_session(self, index: int, raw: Any) -> None:
        """The outbound session; must be taken away (None) before it is freed."""
        self.version += 1
        self.sessions[index] = raw
        self.keyed[index] = raw is not None

    def refuse_trains(self, index: int) -> None:
        """The path to this peer does not take GSO."""
        self.version += 1
        self.gso[index] = False

    def release(self, index: int, now_ms: float) -> None:
        """The peer is gone."""
        self.set_session(index, None)
        self.set_path(index, None)
        self._resting.append((now_ms + INDEX_GRACE_MS, index))
