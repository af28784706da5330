"""`send_batch`: seal every row in place, hand the lot to the kernel in one call, mind what it says.

The kernel takes messages in order and stops at the first that it refuses. A full socket buffer
sends the rest to the queues; a refused train is sent row by row and its peer gets no more trains;
any other error costs that message alone.
"""

from __future__ import annotations

import errno
from collections import OrderedDict
from typing import Protocol

import numpy as np

from relay.core.arena import SendBatch
from relay.core.drops import DropReason
from relay.transport import kernel
from relay.transport.counters import PortCounters
from relay.transport.peer_table import PeerTable
from relay.transport.send_plan import MessageGroup, SendPlan, make_plan
from relay.transport.srtp import ArenaPointers, seal

MAX_PLANS = 32
MAX_PLAN_ROWS = 1 << 16
"""Rows over all kept plans: some 40 bytes each."""
BLOCKED = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})
TRAIN_REFUSED = frozenset({errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT})


class SendOutlet(Protocol):
    """The sockets behind a sender, by slot (0 IPv4, 1 IPv6)."""

    def fd_of(self, slot: int) -> int | None:
        """The socket, or None while it is blocked, or there is none, as for TCP_SLOT."""

    def send_row(self, index: int, data: bytes) -> None:
        """One sealed packet, queued if the socket is blocked, and always for TCP."""

    def on_blocked(self, slot: int, code: int) -> None:
        """The socket takes no more: wait until it is writable."""


class BatchSender:
    """Sends batches to the peers of a table."""

    def __init__(self, table: PeerTable, counters: PortCounters, outlet: SendOutlet) -> None:
        self._table = table
        self._counters = counters
        self._outlet = outlet
        self._arenas = ArenaPointers()
        self._plans: OrderedDict[tuple[int, bytes, bytes], SendPlan] = OrderedDict()
        self._plan_rows = 0

    def send(self, batch: SendBatch) -> None:
        """Raises ValueError for a batch whose trains do not add up."""
        if batch.row_count == 0:
            return
        plan = self._plan(batch)
        counters = self._counters
        counters.count_batch(batch.row_count)
        if plan.not_keyed:
            counters.drops[DropReason.SRTP_NOT_KEYED] += plan.not_keyed
        statuses = seal(plan.sessions, plan.row, plan.length)
        lengths = batch.arena.lengths[plan.rows if plan.run is None else plan.run]
        if statuses.count(0) != len(statuses) or not _fits(plan, lengths):
            self._send_rows(batch, plan, statuses)
            return
        plan.iovecs["bytes"] = lengths
        for group in plan.groups:
            if group.trains:
                group.segments[:] = lengths[group.first]
            self._send_group(batch, plan, group, lengths)

    def _plan(self, batch: SendBatch) -> SendPlan:
        pointers = self._arenas.of(batch.arena)
        key = (id(pointers), batch.train_peer.tobytes(), batch.train_rows.tobytes())
        plan = self._plans.get(key)
        if plan is not None:
            if plan.version == self._table.version:
                self._plans.move_to_end(key)
                return plan
            self._plan_rows -= len(plan.rows)
            del self._plans[key]
        plan = make_plan(batch, self._table, pointers)
        self._plans[key] = plan
        self._plan_rows += len(plan.rows)
        while len(self._plans) > MAX_PLANS or (
            self._plan_rows > MAX_PLAN_ROWS and len(self._plans) > 1
        ):
            self._plan_rows -= len(self._plans.popitem(last=False)[1].rows)
        return plan

    def forget_plans(self) -> None:
        """Drop every pointer to sessions and arenas."""
        self._plans.clear()
        self._plan_rows = 0

    def _send_group(
        self,
        batch: SendBatch,
        plan: SendPlan,
        group: MessageGroup,
        lengths: np.ndarray[tuple[int], np.dtype[np.int32]],
    ) -> None:
        total = len(group.peers)
        fd = self._outlet.fd_of(group.slot)
        at = 0 if fd is None else group.block.send(fd)
        if at == total and len(plan.groups) == 1:
            self._counters.packets_out += len(lengths)
            self._counters.bytes_out += int(lengths.sum())
            self._counters.gso_trains += group.trains
            return
        refused: list[int] = []
        code = min(at, 0)
        at = max(at, 0)
        while fd is not None and at < total:
            if code == 0:
                got = kernel.send_messages(fd, group.block.messages, at)
                code, at = min(got, 0), at + max(got, 0)
            elif -code in BLOCKED:
                self._outlet.on_blocked(group.slot, -code)
                break
            else:
                if -code != errno.EINTR:
                    refused.append(at)
                    self._refuse(batch, plan, group, at, -code)
                    at += 1
                code = 0
        self._count(group, lengths, at, refused)
        for i in range(at, total):
            self._send_singly(batch, plan, group, i)

    def _refuse(
        self, batch: SendBatch, plan: SendPlan, group: MessageGroup, i: int, code: int
    ) -> None:
        self._counters.send_errors[code] += 1
        if group.count[i] > 1 and code in TRAIN_REFUSED:
            self._table.refuse_trains(int(group.peers[i]))
            self._send_singly(batch, plan, group, i)
        else:
            self._counters.drops[DropReason.SEND_ERROR] += int(group.count[i])

    def _count(
        self,
        group: MessageGroup,
        lengths: np.ndarray[tuple[int], np.dtype[np.int32]],
        taken: int,
        refused: list[int],
    ) -> None:
        """What the kernel took: messages up to `taken` but for the refused ones."""
        counts = group.count[:taken]
        ends = group.first[:taken] + counts
        sums = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        octets = sums[ends] - sums[group.first[:taken]]
        self._counters.packets_out += int(counts.sum() - counts[refused].sum())
        self._counters.bytes_out += int(octets.sum() - octets[refused].sum())
        self._counters.gso_trains += int((counts > 1).sum() - (counts[refused] > 1).sum())

    def _send_singly(self, batch: SendBatch, plan: SendPlan, group: MessageGroup, i: int) -> None:
        first = int(group.first[i])
        for row in plan.rows[first : first + int(group.count[i])].tolist():
            length = int(batch.arena.lengths[row])
            self._outlet.send_row(int(group.peers[i]), batch.arena.rows[row, :length].tobytes())

    def _send_rows(self, batch: SendBatch, plan: SendPlan, statuses: list[int]) -> None:
        """A row was refused by libsrtp, or a train is of unequal rows: no trains this time."""
        for group in plan.groups:
            for i in range(len(group.peers)):
                first = int(group.first[i])
                for at in range(first, first + int(group.count[i])):
                    if statuses[at] != 0:
                        self._counters.drops[DropReason.SRTP_SEAL] += 1
                        continue
                    row = int(plan.rows[at])
                    length = int(batch.arena.lengths[row])
                    data = batch.arena.rows[row, :length].tobytes()
                    self._outlet.send_row(int(group.peers[i]), data)


def _fits(plan: SendPlan, lengths: np.ndarray[tuple[int], np.dtype[np.int32]]) -> bool:
    """In each train all rows are of one length, only the last may be shorter."""
    if not plan.trains:
        return True
    over = lengths - lengths[plan.first_of_row]
    return not over[plan.inner].any() and int(over.max()) <= 0
