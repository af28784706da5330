"""A viewer behind a line with a rate, a queue, loss and delay, under a virtual clock.

The viewer sends what libwebrtc sends: transport-wide feedback for packets that carry a number,
NACKs, a receiver report a second. The publisher sends three layers that look like real ones: a key
frame of several frames' size, then frames that vary.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from relay.core.arena import PacketArena, SendBatch
from relay.core.lanes import LaneState
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_TRANSPORT_CC,
    MediaNegotiation,
    ViewerNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.router import StreamRouter
from relay.core.rtcp import Nack, ReceiverReport, ReportBlock, encode
from relay.core.rtp import RtpView, parse_rtp
from relay.core.serial import Unwrapper
from relay.core.source import Source
from relay.core.twcc import TransportFeedbackBuilder
from tests.netns.link_model import LinkModel, LinkSettings
from tests.simulation.virtual_stream import H264, OPUS

TWCC_ID, SEND_TIME_ID = 5, 3
STEP_MS = 5.0
KEYFRAME_SHARE = 4.0
"""A key frame is so many times an ordinary frame."""
UPSTREAM_MS = 40.0
"""From a key-frame request to the key frame."""


class Layer:
    """One simulcast layer that makes key frames when asked, and every `gop` frames."""

    def __init__(
        self,
        router: StreamRouter,
        rid: str,
        height: int,
        bps: float,
        fps: float,
        dice: random.Random,
        gop: int = 90,
    ) -> None:
        self.source = Source(
            router.next_source_number(), "video", H264, can_request_keyframe=True, rid=rid
        )
        self.source.size = (height * 16 // 9, height)
        self.bps, self.fps = bps, fps
        self._dice = dice
        self._gop, self._frame, self._seq = gop, 0, 1000
        self._next_ms = 0.0
        self._asked_ms: float | None = None

    def ask(self, now_ms: float) -> None:
        self._asked_ms = now_ms + UPSTREAM_MS if self._asked_ms is None else self._asked_ms

    def packets(self, now_ms: float) -> list[MediaPacket]:
        if now_ms < self._next_ms:
            return []
        self._next_ms = max(self._next_ms + 1000 / self.fps, now_ms)
        asked = self._asked_ms is not None and now_ms >= self._asked_ms
        key = asked or self._frame % self._gop == 0
        if key:
            self._asked_ms, self._frame = None, 0
        mean = self.bps / 8 / self.fps * (1 - (KEYFRAME_SHARE - 1) / self._gop)
        size = int(mean * (KEYFRAME_SHARE if key else self._dice.uniform(0.6, 1.4)))
        parts = max(1, -(-size // 1150))
        out = []
        for i in range(parts):
            # A payload that no parser takes for parameter sets: the size is set above.
            payload = b"\x41" + bytes(max(20, size // parts) - 1)
            self._seq += 1
            out.append(
                MediaPacket(
                    self._seq, int(now_ms * 90), payload, 102, i == parts - 1,
                    key and i == 0, i == 0, now_ms,
                )
            )  # fmt: skip
        self._frame += 1
        return out


@dataclass
class Tally:
    """What the viewer saw in a stretch of time."""

    started_ms: float
    video_bytes: int = 0
    padding_packets: int = 0
    sound_sent: int = 0
    sound_came: int = 0
    sound_gap_ms: float = 0.0
    heights: dict[str | None, int] = field(default_factory=dict)


class LineTheatre:
    """One viewer, one line."""

    def __init__(self, seed: int = 1, *, key: str | None = "an-phu") -> None:
        dice = random.Random(seed)
        self.now_ms = 10_000.0
        self.router = StreamRouter(PacketArena(4096), random.Random(seed))
        self.layers = [
            Layer(self.router, "h", 720, 2.2e6, 30, dice),
            Layer(self.router, "m", 360, 400e3, 30, dice),
            Layer(self.router, "l", 180, 90e3, 15, dice),
        ]
        self.audio = Source(
            self.router.next_source_number(), "audio", OPUS, can_request_keyframe=False
        )
        self.down: LinkModel[bytes] = LinkModel(LinkSettings(delay_ms=15), seed)
        self.up: LinkModel[bytes] = LinkModel(LinkSettings(delay_ms=15), seed + 1)
        self.timeline: list[tuple[float, str | None]] = []
        self.tally = Tally(self.now_ms)
        self._key = key
        self._audio_seq = 0
        self._slow_ms = self._report_ms = 0.0
        self._audio_ms = self._last_audio_ms = 0.0
        self._builder = TransportFeedbackBuilder(7)
        self._seqs = Unwrapper(16)
        self._highest = -1
        self._missing: dict[int, float] = {}
        self._expected = self._came = 0
        self.viewer = self.router.add_viewer("v1", 1, _negotiation())
        self.warm(1500)
        self.join()

    def join(self) -> None:
        self.router.start_viewer(self.viewer, self.now_ms, line_key=self._key)
        self._send(self.router.poll(self.now_ms))

    def come_back(self) -> None:
        """The same commune with a new session."""
        self.viewer = self.router.add_viewer("v1", 1, _negotiation())
        self._seqs, self._highest = Unwrapper(16), -1
        self._missing.clear()
        self.join()

    def warm(self, duration_ms: float) -> None:
        """The publisher has been on the air for a while."""
        end_ms = self.now_ms + duration_ms
        while self.now_ms < end_ms:
            self._publish()
            self.now_ms += STEP_MS

    def line(self, **settings: float) -> None:
        """Change the downward line from now on."""
        base = {"delay_ms": 15.0, "queue_ms": 200.0}
        self.down.settings = LinkSettings(**{**base, **settings})

    def play(self, seconds: float) -> Tally:
        """Let time pass; what the viewer saw in it."""
        self.tally = Tally(self.now_ms)
        end_ms = self.now_ms + seconds * 1000
        self._last_audio_ms = self.now_ms
        while self.now_ms < end_ms:
            self.step()
        return self.tally

    @property
    def rid(self) -> str | None:
        """Of the layer that is being sent, None while none is."""
        lane, track = self.viewer.lanes["video"], self.router.tracks["video"]
        splice = lane.current
        state = track.state_of(lane)
        if splice is None or state not in (LaneState.LIVE, LaneState.BURST):
            return None
        return splice.source.rid

    def step(self) -> None:
        self.now_ms += STEP_MS
        self._publish()
        self._send(self.router.poll(self.now_ms))
        for wire in self.down.poll(self.now_ms):
            self._receive(parse_rtp(wire))
        self._talk()
        for data in self.up.poll(self.now_ms):
            self._send(self.router.on_viewer_rtcp(self.viewer, data, self.now_ms))
        if self.now_ms >= self._slow_ms:
            self._slow_ms = self.now_ms + 100
            self.router.decide_lines(self.now_ms)
            self.router.ask_for_waiting(self.now_ms)
        for source in self.router.take_keyframe_requests(self.now_ms):
            next(x for x in self.layers if x.source is source).ask(self.now_ms)
        rid = self.rid
        if not self.timeline or self.timeline[-1][1] != rid:
            self.timeline.append((self.now_ms, rid))
        self.tally.heights[rid] = self.tally.heights.get(rid, 0) + 1

    def _publish(self) -> None:
        for layer in self.layers:
            packets = layer.packets(self.now_ms)
            if packets:
                self._send(self.router.on_packets(layer.source, packets, self.now_ms))
        if len(self.router.tracks["video"].layers) < len(self.layers):
            self.router.set_layers("video", [x.source for x in self.layers])
            self.router.set_source("audio", self.audio)
        if self.now_ms >= self._audio_ms:
            self._audio_ms = self.now_ms + 20
            self._audio_seq += 1
            sound = MediaPacket(
                self._audio_seq, self._audio_seq * 960, bytes(80), 111, False, False, True,
                self.now_ms,
            )  # fmt: skip
            self._send(self.router.on_packets(self.audio, [sound], self.now_ms))
            self.tally.sound_sent += 1

    def _send(self, batches: Iterable[SendBatch]) -> None:
        for batch in batches:
            for row in range(batch.row_count):
                wire = batch.arena.rows[row, : batch.arena.lengths[row]].tobytes()
                self.down.feed(wire, len(wire) + 16, self.now_ms)

    def _receive(self, view: RtpView) -> None:
        lanes = self.viewer.lanes
        number = view.extensions.get(TWCC_ID)
        if number is not None:
            self._builder.record(int.from_bytes(number[:2], "big"), view.ssrc, self.now_ms)
        if view.ssrc == lanes["audio"].ssrc:
            self.tally.sound_came += 1
            gap_ms = self.now_ms - self._last_audio_ms
            self.tally.sound_gap_ms = max(self.tally.sound_gap_ms, gap_ms)
            self._last_audio_ms = self.now_ms
        elif view.ssrc == lanes["video"].ssrc:
            self._take_video(view.seq)
            self.tally.video_bytes += len(view.payload)
        elif len(view.payload) > 2:
            self._missing.pop(self._seqs.peek(int.from_bytes(view.payload[:2], "big")), None)
        else:
            self.tally.padding_packets += 1

    def _take_video(self, seq16: int) -> None:
        seq = self._seqs.unwrap(seq16)
        self._came += 1
        if self._highest < 0:
            self._highest = seq - 1
        for missing in range(self._highest + 1, seq):
            self._missing[missing] = self.now_ms
        self._expected += max(0, seq - self._highest)
        self._highest = max(self._highest, seq)
        self._missing.pop(seq, None)

    def _talk(self) -> None:
        now_ms = self.now_ms
        ssrc = self.viewer.lanes["video"].ssrc
        for feedback in self._builder.poll(now_ms):
            self._say(encode([feedback]))
        self._missing = {s: t for s, t in self._missing.items() if now_ms - t < 1000}
        due = [s for s, t in self._missing.items() if (now_ms - t) % 50 < STEP_MS]
        if due:
            self._say(encode([Nack(7, ssrc, tuple(s & 0xFFFF for s in due[:200]))]))
        if now_ms >= self._report_ms:
            self._report_ms = now_ms + 1000
            lost = max(0, self._expected - self._came)
            fraction = int(256 * lost / max(1, self._expected))
            self._expected = self._came = 0
            self.viewer.report.rtt_ms = 30.0
            block = ReportBlock(ssrc, fraction, 0, self._highest & 0xFFFFFFFF, 0, 0, 0)
            self._say(encode([ReceiverReport(7, (block,))]))

    def _say(self, data: bytes) -> None:
        self.up.feed(data, len(data), self.now_ms)


def _negotiation() -> ViewerNegotiation:
    extensions = {EXT_ABS_SEND_TIME: SEND_TIME_ID, EXT_TRANSPORT_CC: TWCC_ID}
    return ViewerNegotiation(
        (
            MediaNegotiation(0, "0", "audio", (OPUS,), extensions, (1010,)),
            MediaNegotiation(1, "1", "video", (H264,), extensions, (1011,), {1011: 1012}),
        )
    )
