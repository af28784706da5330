"""What it costs to know a viewer's line: `python -m tests.bench.feedback`.

One second of a 2.6 Mbit/s stream for 63 and for 250 viewers, and the RTCP of that second, by three
ways of congestion control: REMB (one packet a second), transport-wide feedback (one each 50 ms, as
Chromium sends it) and ours (feedback from one viewer in twenty, REMB from the others). CPU of the
forwarding core and of SRTCP, without sockets. The ratio is to the plain fan-out of the same run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from relay.core.arena import PacketArena
from relay.core.line.viewer_line import ViewerLine
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_TRANSPORT_CC,
    MediaNegotiation,
    ViewerNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.router import StreamRouter
from relay.core.rtcp import Remb, encode
from relay.core.rtp import parse_rtp
from relay.core.source import Source
from relay.core.twcc import TransportFeedbackBuilder
from tests.simulation.virtual_stream import H264

FRAMES, PACKETS_PER_FRAME, PAYLOAD_BYTES = 30, 12, 1100
FEEDBACK_MS = 50.0
ROUNDS = 5


class Broadcast:
    """A router with so many viewers; `watched` of them send transport-wide feedback."""

    def __init__(self, viewers: int, watched: int) -> None:
        self.now_ms = 10_000.0
        self.router = StreamRouter(PacketArena(4096), random.Random(1))
        self.source = Source(1, "video", H264, can_request_keyframe=True)
        self.router.set_source("video", self.source)
        self.seq = 0
        self.watched = watched
        self.builders: dict[int, TransportFeedbackBuilder] = {}
        self.viewers = [self._join(n) for n in range(viewers)]
        self.frame()

    def _join(self, number: int) -> object:
        ssrc = 1000 + 4 * number
        extensions = {EXT_ABS_SEND_TIME: 3, EXT_TRANSPORT_CC: 5}
        media = MediaNegotiation(0, "0", "video", (H264,), extensions, (ssrc,), {ssrc: ssrc + 1})
        viewer = self.router.add_viewer(f"v{number}", number, ViewerNegotiation((media,)))
        self.router.start_viewer(viewer, self.now_ms)
        line = self.router.lines.line_of(viewer.id)
        assert isinstance(line, ViewerLine)
        if number >= self.watched:
            line.watching = False
            self.router.tracks["video"].set_feedback(line.lane, wanted=False)
            line._transport.unwatch(number)
        else:
            self.builders[number] = TransportFeedbackBuilder(7)
        return viewer

    def frame(self) -> list[tuple[int, int]]:
        """Forward one frame; (peer, transport number) of what the watched viewers got."""
        first = self.seq == 0
        packets = []
        for i in range(PACKETS_PER_FRAME):
            self.seq += 1
            packets.append(
                MediaPacket(
                    self.seq,
                    int(self.now_ms * 90),
                    bytes(PAYLOAD_BYTES),
                    102,
                    i == PACKETS_PER_FRAME - 1,
                    first and i == 0,
                    i == 0,
                    self.now_ms,
                )
            )
        came: list[tuple[int, int]] = []
        for batch in self.router.on_packets(self.source, packets, self.now_ms):
            self.collect(batch, came)
        return came

    def collect(self, batch: object, came: list[tuple[int, int]]) -> None:
        """For subclasses that look at what is sent."""


class Recorder(Broadcast):
    """Notes transport numbers, to make the feedback beforehand."""

    def collect(self, batch: object, came: list[tuple[int, int]]) -> None:
        row = 0
        for peer, count in zip(batch.train_peer, batch.train_rows, strict=True):  # type: ignore[attr-defined]
            for _ in range(count):
                if int(peer) in self.builders:
                    length = batch.arena.lengths[row]  # type: ignore[attr-defined]
                    view = parse_rtp(batch.arena.rows[row, :length].tobytes())  # type: ignore[attr-defined]
                    if 5 in view.extensions:
                        came.append((int(peer), int.from_bytes(view.extensions[5], "big")))
                row += 1


def rtcp_of_a_second(viewers: int, watched: int) -> list[tuple[float, int, bytes]]:
    """(when, viewer, compound) of what the viewers of one second say."""
    recorder = Recorder(viewers, watched)
    said: list[tuple[float, int, bytes]] = []
    for _ in range(FRAMES):
        for peer, number in recorder.frame():
            recorder.builders[peer].record(number, 1, recorder.now_ms + 20)
        recorder.now_ms += 1000 / FRAMES
        for peer, builder in recorder.builders.items():
            due = builder.poll(recorder.now_ms + 20)
            said += [(recorder.now_ms, peer, encode([feedback])) for feedback in due]
    start_ms = 10_000.0
    for number in range(watched, viewers):
        ssrc = 1000 + 4 * number
        said.append((start_ms + 500, number, encode([Remb(5_000_000, (ssrc,))])))
    return sorted(said)


def cpu_ms(work: Callable[[], None]) -> float:
    """The least of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, (time.process_time() - began) * 1000)
    return best


def measure(viewers: int, watched: int) -> tuple[float, float, int]:
    """(ms of CPU for fan-out, for RTCP, RTCP packets) of one second."""
    said = rtcp_of_a_second(viewers, watched)

    def fan_out() -> None:
        broadcast = Broadcast(viewers, watched)
        for _ in range(FRAMES):
            broadcast.frame()
            broadcast.now_ms += 1000 / FRAMES

    def listen() -> None:
        broadcast = Broadcast(viewers, watched)
        for _ in range(FRAMES):
            broadcast.frame()
            broadcast.now_ms += 1000 / FRAMES
        for at_ms, number, data in said:
            viewer = broadcast.viewers[number]
            for _ in broadcast.router.on_viewer_rtcp(viewer, data, at_ms):  # type: ignore[arg-type]
                pass

    alone = cpu_ms(fan_out)
    return alone, max(0.0, cpu_ms(listen) - alone), len(said)


def main() -> None:
    """Print the table."""
    print("| viewers | feedback | RTCP packets/s | fan-out ms/s | RTCP ms/s | ratio |")
    print("|---|---|---|---|---|---|")
    for viewers in (63, 250):
        plain = None
        for name, watched in (("REMB", 0), ("transport-cc", viewers), ("ours", viewers // 20)):
            fan_out, rtcp, packets = measure(viewers, watched)
            plain = plain or fan_out
            ratio = (fan_out + rtcp) / plain
            print(
                f"| {viewers} | {name} | {packets} | {fan_out:.1f} | {rtcp:.1f} | {ratio:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
