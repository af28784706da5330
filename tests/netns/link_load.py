"""What a UdpLink carries: `python -m tests.netns.link_load --viewers 63 --seconds 5 --delay-ms 40`.

A server sends each viewer a frame of 12 packets of 1200 bytes 30 times a second, all viewers at
the same moment, as a hub does; viewers answer with 20 packets a second. Server and viewers are a
process of their own, so that the link has one core for itself. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass

from tests.netns.link_model import LinkSettings
from tests.netns.processes import ROOT
from tests.netns.udp_link import UdpLink

FPS = 30
PACKETS_A_FRAME = 12
PACKET_BYTES = 1200
FEEDBACK_EVERY = 3
"""Frames: 10 packets a second, of two each."""
BUFFER_BYTES = 8 << 20
QUIET_S = 1.0
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class LinkLoad:
    """sent, arrived: packets to the viewers. answers: from them at the server, of answers_sent.
    own_losses: at the link's sockets. link_cpu: share of one core. late_ms: how late the sender
    itself was at worst."""

    viewers: int
    seconds: float
    sent: int
    arrived: int
    answers_sent: int
    answers: int
    own_losses: int
    link_cpu: float
    late_ms: float


async def measure(
    viewers: int, seconds: float, settings: LinkSettings, *, shared: bool = False
) -> LinkLoad:
    """Run the crowd in a process of its own and the link in this one."""
    crowd = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.netns.link_load", "--crowd"),
        *("--viewers", str(viewers), "--seconds", str(seconds)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    target = ("127.0.0.1", int(await crowd.stdout.readline()))
    async with UdpLink(target, up=settings, down=settings, shared=shared) as link:
        cpu_s, begun_s = time.process_time(), time.monotonic()
        crowd.stdin.write(f"{link.address[1]}\n".encode())
        line = await crowd.stdout.readline()
        cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - begun_s
        own_losses = link.own_losses()
    crowd.stdin.close()
    await crowd.wait()
    share = cpu_s / (took_s - QUIET_S)
    return LinkLoad(**json.loads(line), own_losses=own_losses, link_cpu=round(share, 3))


class _Crowd:
    """Server and viewers in one loop; nothing is shared with the link but the sockets."""

    def __init__(self, viewers: int) -> None:
        self.server = _socket()
        self.viewers = [_socket() for _ in range(viewers)]
        self.selector = selectors.DefaultSelector()
        for one in (self.server, *self.viewers):
            self.selector.register(one, selectors.EVENT_READ)
        self.outside: list[tuple[str, int]] = []
        self.sent = self.arrived = self.answers_sent = self.answers = 0
        self.late_s = 0.0

    def greet(self, link_port: int) -> None:
        """Each viewer says a word, so that the server knows where it is."""
        for viewer in self.viewers:
            viewer.connect(("127.0.0.1", link_port))
            viewer.send(b"hello")
        self.server.settimeout(10)
        while len(self.outside) < len(self.viewers):
            self.outside.append(self.server.recvfrom(100)[1])
        self.server.setblocking(False)

    def run(self, seconds: float) -> None:
        begun_s = time.monotonic()
        for frame in range(int(seconds * FPS)):
            due_s = begun_s + frame / FPS
            self._take_until(due_s)
            self.late_s = max(self.late_s, time.monotonic() - due_s)
            self._send_frame(frame)
        self._take_until(time.monotonic() + QUIET_S)

    def _send_frame(self, frame: int) -> None:
        data = bytes(PACKET_BYTES)
        for address in self.outside:
            for _ in range(PACKETS_A_FRAME):
                self.server.sendto(data, address)
        self.sent += PACKETS_A_FRAME * len(self.outside)
        if frame % FEEDBACK_EVERY == 0:
            for viewer in self.viewers:
                viewer.send(b"\x81" * 60)
                viewer.send(b"\x81" * 60)
            self.answers_sent += 2 * len(self.viewers)

    def _take_until(self, end_s: float) -> None:
        while (left_s := end_s - time.monotonic()) > 0:
            for key, _ in self.selector.select(left_s):
                took = _drain(key.fileobj)  # type: ignore[arg-type]
                if key.fileobj is self.server:
                    self.answers += took
                else:
                    self.arrived += took


def _drain(sock: socket.socket) -> int:
    took = 0
    try:
        while True:
            sock.recv(2000)
            took += 1
    except BlockingIOError:
        return took


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def _crowd(viewers: int, seconds: float) -> None:
    crowd = _Crowd(viewers)
    print(crowd.server.getsockname()[1], flush=True)
    crowd.greet(int(sys.stdin.readline()))
    crowd.run(seconds)
    figures = {
        "viewers": viewers,
        "seconds": seconds,
        "sent": crowd.sent,
        "arrived": crowd.arrived,
        "answers_sent": crowd.answers_sent,
        "answers": crowd.answers,
        "late_ms": round(crowd.late_s * 1000, 1),
    }
    print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=63)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--crowd", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.crowd:
        _crowd(given.viewers, given.seconds)
        return
    settings = LinkSettings(delay_ms=given.delay_ms, loss=given.loss)
    print(json.dumps(asdict(asyncio.run(measure(given.viewers, given.seconds, settings)))))


if __name__ == "__main__":
    main()
