"""Reusable packet memory between the forwarding core and the socket.

The core writes whole RTP packets into rows; the transport seals them in place (SRTP grows a row
by its tag) and hands them to one sendmmsg. Nothing is allocated per packet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROW_STRIDE_BYTES = 1536
"""Bytes from one row to the next: an Ethernet MTU and room for the SRTP tag."""

MAX_RTP_BYTES = 1472
"""Longest clear RTP packet a row takes."""


class PacketArena:
    """`capacity` rows of packet memory.

    rows: uint8[capacity, ROW_STRIDE_BYTES], C-contiguous, address fixed for life.
    lengths: int32[capacity], bytes used in each row.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows: npt.NDArray[np.uint8] = np.zeros((capacity, ROW_STRIDE_BYTES), np.uint8)
        self.lengths: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)


@dataclass(slots=True)
class SendBatch:
    """Rows 0..row_count of an arena, cut into trains; a train goes to one peer.

    Within a train every row has one length except the last, which may be shorter, so that a train
    may be one UDP GSO send. Rows of a train are consecutive and trains are in row order.

    train_peer: int32[trains], the peer's index in the port (Peer.index).
    train_rows: int32[trains], rows in the train; sums to row_count.
    """

    arena: PacketArena
    row_count: int
    train_peer: npt.NDArray[np.int32]
    train_rows: npt.NDArray[np.int32]
