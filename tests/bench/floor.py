"""The floor: nothing but SRTP and sendmmsg of the trace's packets to N sockets, in real time.

`python -m tests.bench.floor VIEWERS SECONDS TRAIN GRO`: writes one line of JSON. Rows of one numpy
matrix are sealed in place by libsrtp's own function and sent with UDP GSO, TRAIN packets to a
viewer in one message (1: without GSO). Copying the rows is timed apart: a server must write them
too, but it is not the floor.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pylibsrtp

from tests.bench import cpu, sdp
from tests.bench.kernel_io import (
    IOVEC,
    MMSGHDR,
    SOL_UDP,
    UDP_SEGMENT,
    address_of,
    die_with_parent,
    ffi,
    libc,
)
from tests.bench.processes import (
    LOAD_CORE,
    SERVER_CORE,
    BenchError,
    end,
    python,
    read_json_line,
    spawn,
)
from tests.bench.trace import Trace, TracePacket, make_trace

_STRIDE = 1536
_TAG_BYTES = 16
_GSO_CONTROL_BYTES = 24
_SRTP: Any = pylibsrtp.__dict__["lib"]
_SRTP_FFI: Any = pylibsrtp.__dict__["ffi"]


@dataclass
class FloorTimes:
    """Nanoseconds of this thread's CPU, and packets."""

    copy_ns: int = 0
    seal_ns: int = 0
    send_ns: int = 0
    packets: int = 0


class FloorSender:
    """Seals and sends trains of up to `train` packets to each of the ports."""

    def __init__(self, ports: list[int], train: int) -> None:
        viewers = len(ports)
        self._viewers, self._train = viewers, train
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._rows = np.zeros((viewers, train, _STRIDE), np.uint8)
        self._lengths = np.zeros((viewers, train), np.int32)
        self._sessions = [_session(index) for index in range(viewers)]
        base, stride = address_of(self._rows), train * _STRIDE
        self._packet_pointers = [
            [_SRTP_FFI.cast("void *", base + v * stride + t * _STRIDE) for t in range(train)]
            for v in range(viewers)
        ]
        length_base = address_of(self._lengths)
        self._length_pointers = [
            [_SRTP_FFI.cast("int *", length_base + (v * train + t) * 4) for t in range(train)]
            for v in range(viewers)
        ]
        self._prepare_messages(ports)
        self.times = FloorTimes()

    def _prepare_messages(self, ports: list[int]) -> None:
        viewers, train = self._viewers, self._train
        self._names = np.zeros((viewers, 16), np.uint8)
        for index, port in enumerate(ports):
            name = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), b"\x7f\0\0\1")
            self._names[index] = np.frombuffer(name, np.uint8)
        self._iov = np.zeros((viewers, train), IOVEC)
        self._iov["base"] = (
            address_of(self._rows)
            + np.arange(viewers)[:, None] * train * _STRIDE
            + np.arange(train)[None, :] * _STRIDE
        )
        self._control = np.zeros(_GSO_CONTROL_BYTES, np.uint8)
        self._head = np.zeros(viewers, MMSGHDR)
        order = np.arange(viewers)
        self._head["name"] = address_of(self._names) + order * 16
        self._head["namelen"] = 16
        self._head["iov"] = address_of(self._iov) + order * train * IOVEC.itemsize
        self._head_pointer = ffi.cast("void *", address_of(self._head))

    def send(self, packets: list[bytes]) -> None:
        """One train of equally long clear packets to every viewer."""
        count, length = len(packets), len(packets[0])
        times = self.times
        at = time.thread_time_ns()
        for slot, packet in enumerate(packets):
            self._rows[:, slot, :length] = np.frombuffer(packet, np.uint8)
        self._lengths[:, :count] = length
        copied = time.thread_time_ns()
        for slot in range(count):
            pointers = [row[slot] for row in self._packet_pointers]
            lengths = [row[slot] for row in self._length_pointers]
            deque(map(_SRTP.srtp_protect, self._sessions, pointers, lengths), maxlen=0)
        sealed = time.thread_time_ns()
        self._send_all(count, length + _TAG_BYTES)
        sent = time.thread_time_ns()
        times.copy_ns += copied - at
        times.seal_ns += sealed - copied
        times.send_ns += sent - sealed
        times.packets += count * self._viewers

    def _send_all(self, count: int, length: int) -> None:
        self._iov["len"][:, :count] = length
        self._head["iovlen"] = count
        if count > 1:
            control = struct.pack("=QiiH6x", 18, SOL_UDP, UDP_SEGMENT, length)
            self._control[:] = np.frombuffer(control, np.uint8)
            self._head["control"] = address_of(self._control)
            self._head["controllen"] = _GSO_CONTROL_BYTES
        else:
            self._head["control"], self._head["controllen"] = 0, 0
        done = 0
        while done < self._viewers:
            pointer = self._head_pointer + done * MMSGHDR.itemsize
            sent = libc.sendmmsg(self._socket.fileno(), pointer, self._viewers - done, 0)
            if sent < 0:
                raise BenchError(f"floor: sendmmsg failed with errno {ffi.errno}")
            done += sent

    def close(self) -> None:
        self._socket.close()


_KEPT_SESSIONS: list[pylibsrtp.Session] = []


def _session(index: int) -> Any:
    """An outbound AES-128-GCM context as libsrtp's own pointer."""
    policy = pylibsrtp.Policy(
        index.to_bytes(28, "big"),
        pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    )
    session = pylibsrtp.Session(policy)
    _KEPT_SESSIONS.append(session)
    return session._srtp[0]


def trains(trace: Trace, longest: int) -> Iterator[tuple[float, list[TracePacket]]]:
    """The trace as (due_ms, packets of one burst), each at most `longest` packets of one kind."""
    group: list[TracePacket] = []
    for packet in trace.packets:
        if group and (
            len(group) == longest
            or packet.kind != group[0].kind
            or packet.due_ms != group[0].due_ms
            or len(packet.payload) < len(group[0].payload) - 64
        ):
            yield group[0].due_ms, group
            group = []
        group.append(packet)
    if group:
        yield group[0].due_ms, group


def _clear_packets(group: list[TracePacket], numbers: dict[str, int], loop: int) -> list[bytes]:
    """RTP packets of one length (zeros even them out), as a GSO train needs them."""
    longest = max(len(packet.payload) for packet in group)
    clear = []
    for packet in group:
        numbers[packet.kind] += 1
        is_audio = packet.kind == "audio"
        header = struct.pack(
            "!BBHII",
            0x80,
            (0x80 if packet.marker else 0) | (sdp.OPUS_PT if is_audio else sdp.H264_PT),
            numbers[packet.kind] & 0xFFFF,
            (packet.timestamp + loop) & 0xFFFFFFFF,
            1 if is_audio else 2,
        )
        clear.append(header + packet.payload.ljust(longest, b"\0"))
    return clear


def play(sender: FloorSender, trace: Trace, longest: int, seconds: float) -> None:
    """Send the trace in real time, as a server would have to."""
    groups = list(trains(trace, longest))
    numbers = {"audio": 0, "video": 0}
    start_s = time.monotonic()
    loop = 0
    while True:
        for due_ms, group in groups:
            due_s = start_s + (loop * trace.duration_ms + due_ms) / 1000
            if due_s - start_s > seconds:
                return
            time.sleep(max(due_s - time.monotonic(), 0))
            sender.send(_clear_packets(group, numbers, loop))
        loop += 1


def measure(viewers: int, seconds: float, longest: int, gro: bool) -> dict[str, Any]:
    """Run the floor in this process (pinned to the server's core) against a sink on the other."""
    command = python("tests.bench.sink", str(viewers), "gro" if gro else "plain")
    sink: subprocess.Popen[bytes] = spawn(command, LOAD_CORE, sys.stderr.buffer)
    try:
        ports = read_json_line(sink, 15, "the floor's sink")["ports"]
        sender = FloorSender(ports, longest)
        play(sender, make_trace(), longest, seconds)
        sender.close()
        time.sleep(0.05)
        counted = json.loads(end(sink).splitlines()[-1])
    finally:
        end(sink)
    times = sender.times
    per_packet = 1 / 1000 / max(times.packets, 1)
    return {
        "viewers": viewers,
        "train": longest,
        "gro": gro,
        "packets": times.packets,
        "us_per_packet": (times.seal_ns + times.send_ns) * per_packet,
        "seal_us": times.seal_ns * per_packet,
        "send_us": times.send_ns * per_packet,
        "copy_us": times.copy_ns * per_packet,
        "lost": times.packets - counted["packets"],
        "client_socket_drops": counted["drops"],
    }


def main() -> None:
    viewers, seconds, longest = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    die_with_parent()
    cpu.pin(SERVER_CORE)
    result = measure(viewers, seconds, longest, sys.argv[4] == "gro")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
