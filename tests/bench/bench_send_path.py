"""The send path of a port beside its bare floor: µs per packet, this process's CPU alone.

`python -m tests.bench.bench_send_path`: 63 viewers, 8 packets of 1200 bytes each per batch, sent
to sockets that a second process drains. Floor: the same `srtp_protect` calls and one prepared
`sendmmsg` with GSO, no features. Both are medians over many batches, taken by turns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np

from relay.core.arena import PacketArena, SendBatch
from relay.transport import MediaPort, kernel
from relay.transport.ice import Path
from relay.transport.send_plan import make_plan
from relay.transport.srtp import ArenaPointers, PeerSrtp, seal
from relay.transport.srtp_profile import PROFILES, SrtpKeys


def drain(pipe: Connection, count: int) -> None:
    """Sockets that swallow; runs in a process of its own."""
    selector = selectors.DefaultSelector()
    ports = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        ports.append(sock.getsockname()[1])
        selector.register(sock, selectors.EVENT_READ)
    pipe.send(ports)
    while not pipe.poll():
        for key, _ in selector.select(0.1):
            assert isinstance(key.fileobj, socket.socket)
            with contextlib.suppress(BlockingIOError):
                while True:
                    key.fileobj.recv(2048)


def fill(arena: PacketArena, rows: int, size: int, seq: int) -> None:
    """Fresh clear packets: the last batch was encrypted in place."""
    arena.rows[:rows, 0] = 0x80
    arena.rows[:rows, 1] = 0x60
    arena.rows[:rows, 2] = seq >> 8 & 0xFF
    arena.rows[:rows, 3] = seq & 0xFF
    arena.rows[:rows, 4:12] = 1
    arena.lengths[:rows] = size


async def measure(viewers: int, train: int, size: int, rounds: int, ports: list[int]) -> None:
    """Print one line of JSON."""
    port = await MediaPort.open(port=0, addresses=["127.0.0.1"])
    sessions = []
    table = port._table
    for i, number in enumerate(ports):
        key = os.urandom(28)
        session = PeerSrtp(PROFILES[0], SrtpKeys(key, key))
        sessions.append(session)
        index = table.take_index(0.0)
        assert index == i
        table.set_path(index, Path(("127.0.0.1", number), "127.0.0.1"))
        table.set_session(index, session.outbound)
    rows = viewers * train
    arena = PacketArena(rows)
    batch = SendBatch(
        arena, rows, np.arange(viewers, dtype=np.int32), np.full(viewers, train, np.int32)
    )
    plan = make_plan(batch, table, ArenaPointers().of(arena))
    group = plan.groups[0]
    fd = port.fd_of(0)
    assert fd is not None
    plan.iovecs["bytes"] = size + PROFILES[0].tag_bytes
    group.segments[:] = size + PROFILES[0].tag_bytes
    ours: list[float] = []
    floor: list[float] = []
    srtp: list[float] = []

    def one_of_ours(seq: int) -> None:
        fill(arena, rows, size, seq)
        start = time.thread_time_ns()
        port.send_batch(batch)
        ours.append((time.thread_time_ns() - start) / 1000 / rows)

    def one_of_floor(seq: int) -> None:
        fill(arena, rows, size, seq)
        start = time.thread_time_ns()
        seal(plan.sessions, plan.row, plan.length)
        middle = time.thread_time_ns()
        sent = 0
        while sent < viewers:
            sent += max(0, kernel.send_messages(fd, group.block.messages, sent))
        floor.append((time.thread_time_ns() - start) / 1000 / rows)
        srtp.append((middle - start) / 1000 / rows)

    for seq in range(rounds):
        # By turns, because whoever comes first after the pause finds cold caches.
        for one in (one_of_ours, one_of_floor)[:: 1 if seq & 1 else -1]:
            one(seq)
        await asyncio.sleep(0.002)
    print(
        json.dumps(
            {
                "viewers": viewers,
                "train": train,
                "bytes": size,
                "gso": bool(table.gso[0]),
                "send_batch_us": round(statistics.median(ours), 3),
                "floor_us": round(statistics.median(floor), 3),
                "floor_srtp_us": round(statistics.median(srtp), 3),
                "queued": port.counters.queued,
            }
        )
    )
    await port.close()


def main() -> None:
    """Arguments are the batch's shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=63)
    parser.add_argument("--train", type=int, default=8)
    parser.add_argument("--bytes", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=drain, args=(theirs, options.viewers), daemon=True)
    process.start()
    try:
        ports = mine.recv()
        asyncio.run(measure(options.viewers, options.train, options.bytes, options.rounds, ports))
    finally:
        mine.send(None)
        process.join()


if __name__ == "__main__":
    main()
