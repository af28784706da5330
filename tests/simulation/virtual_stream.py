"""A virtual stream and virtual viewers for the forwarding core: no socket, no clock."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable

from relay.core.arena import PacketArena, SendBatch
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    CodecParameters,
    MediaNegotiation,
    ViewerNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.router import StreamRouter
from relay.core.rtp import RtpView, parse_rtp
from relay.core.source import Source
from relay.core.viewer import Viewer

H264 = CodecParameters(
    102,
    "H264",
    90_000,
    fmtp={"packetization-mode": "1", "profile-level-id": "42e01f"},
    rtcp_feedback=frozenset({"nack", "nack pli"}),
    rtx_payload_type=103,
)
VP8 = CodecParameters(96, "VP8", 90_000, rtx_payload_type=97)
OPUS = CodecParameters(111, "OPUS", 48_000, channels=2)


def drain(batches: Iterable[SendBatch]) -> dict[int, list[RtpView]]:
    """What each peer would receive, in order."""
    received: dict[int, list[RtpView]] = defaultdict(list)
    for batch in batches:
        row = 0
        for peer, count in zip(batch.train_peer, batch.train_rows, strict=True):
            lengths = batch.arena.lengths[row : row + count]
            assert (lengths[:-1] == lengths[0]).all()
            assert lengths[-1] <= lengths[0]
            for _ in range(count):
                wire = batch.arena.rows[row, : batch.arena.lengths[row]].tobytes()
                received[int(peer)].append(parse_rtp(wire))
                row += 1
        assert row == batch.row_count
    return received


def viewer_negotiation(
    number: int, *, codecs: tuple[CodecParameters, ...] = (H264, VP8), rtx: bool = True
) -> ViewerNegotiation:
    """Audio and video as a browser would have it."""
    base = 1000 + number * 10
    extensions = {EXT_ABS_SEND_TIME: 3}
    {base + 1: base + 2} if rtx else {}
    return ViewerNegotiation(
        (
            MediaNegotiation(0, "0", "audio", (OPUS,), extensions, (base,)),
            MediaNegotiation(
                1,
                "1",
                "video",
                codecs,
                extensions,
                (base + 1,),
                {base + 1: base + 2} if rtx else {},
            ),
        )
    )


class VirtualPublisher:
    """Frames of `packets_per_frame` packets, a key frame every `gop` frames."""

    def __init__(
        self,
        router: StreamRouter,
        *,
        gop: int = 30,
        packets_per_frame: int = 4,
        codec: CodecParameters = H264,
        seq: int = 65_500,
        timestamp: int = 4_294_900_000,
        can_request_keyframe: bool = True,
    ) -> None:
        self.router = router
        self.source = Source(
            router.next_source_number(),
            "video",
            codec,
            can_request_keyframe=can_request_keyframe,
        )
        self.gop = gop
        self.packets_per_frame = packets_per_frame
        self.seq = seq
        self.timestamp = timestamp
        self.frame = 0

    def next_frame(self, now_ms: float) -> list[MediaPacket]:
        """Packets of the next frame; the payload tells frame number and packet number."""
        key = self.frame % self.gop == 0
        packets = []
        for i in range(self.packets_per_frame):
            payload = self.frame.to_bytes(4, "big") + bytes([i]) + bytes(900 + i)
            packets.append(
                MediaPacket(
                    seq=self.seq,
                    timestamp=self.timestamp,
                    payload=payload,
                    payload_type=self.source.codec.payload_type,
                    marker=i == self.packets_per_frame - 1,
                    keyframe=key and i == 0,
                    frame_start=i == 0,
                    arrival_ms=now_ms,
                )
            )
            self.seq += 1
        self.frame += 1
        self.timestamp += 3000
        return packets


class Theatre:
    """A router, its viewers and what each has received, under a virtual clock."""

    def __init__(self, seed: int = 1) -> None:
        self.now_ms = 1000.0
        self.router = StreamRouter(PacketArena(4096), random.Random(seed))
        self.received: dict[int, list[RtpView]] = defaultdict(list)

    def join(self, number: int, **kwargs: object) -> Viewer:
        """A viewer that is up at once."""
        negotiation = viewer_negotiation(number, **kwargs)  # type: ignore[arg-type]
        viewer = self.router.add_viewer(f"v{number}", number, negotiation)
        self.router.start_viewer(viewer, self.now_ms)
        return viewer

    def take(self, batches: Iterable[SendBatch]) -> None:
        """Deliver batches."""
        for peer, packets in drain(batches).items():
            self.received[peer] += packets

    def play(self, publisher: VirtualPublisher, frames: int, fps: float = 30.0) -> None:
        """Let a publisher send frames in real (virtual) time, polling every 5 ms between."""
        for _ in range(frames):
            packets = publisher.next_frame(self.now_ms)
            self.take(self.router.on_packets(publisher.source, packets, self.now_ms))
            self.idle(1000.0 / fps)

    def idle(self, duration_ms: float) -> None:
        """Let time pass."""
        end = self.now_ms + duration_ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 5.0)
            self.take(self.router.poll(self.now_ms))


def frame_numbers(packets: Iterable[RtpView]) -> list[int]:
    """Frame number of each packet, repeats removed."""
    numbers: list[int] = []
    for packet in packets:
        number = int.from_bytes(packet.payload[:4], "big")
        if not numbers or numbers[-1] != number:
            numbers.append(number)
    return numbers


def unwrapped(values: Iterable[int], bits: int) -> list[int]:
    """Extend wrapping numbers."""
    out: list[int] = []
    half, full = 1 << (bits - 1), 1 << bits
    for value in values:
        last = out[-1] if out else value
        out.append(last + (value - last + half) % full - half)
    return out
