"""A batch's shape, turned into kernel structures once and used again.

The same viewers get the same number of packets over and over; then only lengths and segment
sizes change from one batch to the next, and all else (addresses, control blocks, pointers) stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from relay.core.arena import ROW_STRIDE_BYTES, SendBatch
from relay.transport import kernel
from relay.transport.kernel import MessageBlock
from relay.transport.peer_table import NAME_BYTES, TCP_SLOT, PeerTable
from relay.transport.srtp import RowPointers

MAX_TRAIN_ROWS = 40
"""40 rows of an arena stay below the kernel's 64 segments and 64 KB per message."""

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class MessageGroup:
    """The messages of one socket. first, count: rows of each, as positions in the plan.

    segments: uint16 view into the control blocks. trains: messages of more than one row.
    """

    slot: int
    block: MessageBlock
    peers: Ints
    first: Ints
    count: Ints
    segments: npt.NDArray[np.uint16]
    controls: npt.NDArray[np.uint8]
    trains: int


@dataclass(slots=True)
class SendPlan:
    """version: of the peer table it was made from. rows: arena rows in sending order.

    run: the same rows as a slice, when they are 0, 1, 2 …
    sessions, row, length: one entry per row, ready for libsrtp. first_of_row: where a row's
    message begins; inner: whether another row of it follows. trains: messages of more than one
    row. not_keyed: rows left out because their peer has no keys or no path.
    """

    version: int
    pointers: RowPointers
    rows: Ints
    run: slice | None
    sessions: list[Any]
    row: list[Any]
    length: list[Any]
    iovecs: npt.NDArray[np.void]
    groups: list[MessageGroup]
    first_of_row: Ints
    inner: npt.NDArray[np.bool_]
    trains: int
    not_keyed: int


def make_plan(batch: SendBatch, table: PeerTable, pointers: RowPointers) -> SendPlan:
    """Raises ValueError when the trains do not add up to the rows."""
    peers, counts, starts, left_out = _messages(batch, table)
    rows = _ranges(starts, counts)
    first = np.cumsum(counts) - counts
    iovecs = np.zeros(len(rows), kernel.IOVEC)
    iovecs["base"] = batch.arena.rows.ctypes.data + rows * ROW_STRIDE_BYTES
    inner = np.ones(len(rows), np.bool_)
    inner[first + counts - 1] = False
    indexes = rows.tolist()
    slots = table.slots[peers]
    groups = [
        _group(
            table, iovecs, slot, peers[slots == slot], first[slots == slot], counts[slots == slot]
        )
        for slot in (0, 1, TCP_SLOT)
        if (slots == slot).any()
    ]
    return SendPlan(
        version=table.version,
        pointers=pointers,
        rows=rows,
        run=slice(0, len(rows)) if len(rows) == batch.row_count else None,
        sessions=np.repeat(table.sessions[peers], counts).tolist(),
        row=[pointers.row[i] for i in indexes],
        length=[pointers.length[i] for i in indexes],
        iovecs=iovecs,
        groups=groups,
        first_of_row=np.repeat(first, counts),
        inner=inner,
        trains=sum(group.trains for group in groups),
        not_keyed=left_out,
    )


def _messages(batch: SendBatch, table: PeerTable) -> tuple[Ints, Ints, Ints, int]:
    """(peer, rows, first arena row) of each message, and the rows that cannot be sent."""
    peers = batch.train_peer.astype(np.int64)
    counts = batch.train_rows.astype(np.int64)
    if counts.sum() != batch.row_count or (len(counts) and counts.min() < 1):
        raise ValueError("the trains do not add up to the batch's rows")
    starts = np.cumsum(counts) - counts
    known = (peers >= 0) & (peers < table.capacity)
    ready = known.copy()
    ready[known] = table.keyed[peers[known]] & (table.slots[peers[known]] >= 0)
    left_out = int(counts[~ready].sum())
    if left_out:
        peers, counts, starts = peers[ready], counts[ready], starts[ready]
    whole = table.gso[peers] & (counts <= MAX_TRAIN_ROWS)
    if whole.all():
        return peers, counts, starts, left_out
    limits = np.where(table.gso[peers], MAX_TRAIN_ROWS, 1)
    pieces = -(-counts // limits)
    position = _ranges(np.zeros_like(pieces), pieces)
    limit = np.repeat(limits, pieces)
    split_starts = np.repeat(starts, pieces) + position * limit
    ends = np.repeat(starts + counts, pieces)
    return np.repeat(peers, pieces), np.minimum(limit, ends - split_starts), split_starts, left_out


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """The numbers start, start+1 … of each run, one after another."""
    before = np.cumsum(counts) - counts
    offsets: Ints = np.repeat(starts - before, counts)
    return np.arange(int(counts.sum()), dtype=np.int64) + offsets


def _group(
    table: PeerTable,
    iovecs: npt.NDArray[np.void],
    slot: int,
    peers: Ints,
    first: Ints,
    counts: Ints,
) -> MessageGroup:
    controls = table.controls[peers]
    skip = np.where(counts > 1, 0, kernel.SEGMENT_CONTROL_BYTES).astype(np.uint64)
    messages = np.zeros(len(peers), kernel.MMSGHDR)
    messages["name"] = table.names.ctypes.data + peers * NAME_BYTES
    messages["namelen"] = table.name_lengths[peers]
    messages["iov"] = iovecs.ctypes.data + first * iovecs.itemsize
    messages["iovlen"] = counts
    blocks = np.arange(len(peers), dtype=np.uint64) * np.uint64(kernel.SEND_CONTROL_BYTES)
    messages["control"] = np.uint64(controls.ctypes.data) + blocks + skip
    messages["controllen"] = table.control_lengths[peers] - skip
    return MessageGroup(
        slot=slot,
        block=MessageBlock(messages),
        peers=peers,
        first=first,
        count=counts,
        segments=controls.view(np.uint16)[:, 8],
        controls=controls,
        trains=int((counts > 1).sum()),
    )
