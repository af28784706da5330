"""The benchmark's stream: four seconds of 720p30 H.264 at 2.5 Mbit/s with Opus, as RTP payloads.

Really encoded, so that servers that inspect the codec find what they expect; packetised as
libwebrtc does it: a frame is cut into packets that differ by a byte at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np

FPS = 30
WIDTH, HEIGHT = 1280, 720
SECONDS = 4
KEYFRAME_FRAMES = 2 * FPS
VIDEO_BITS_PER_SECOND = 2_500_000
AUDIO_BITS_PER_SECOND = 48_000
VIDEO_CLOCK, AUDIO_CLOCK = 90_000, 48_000
MAX_PAYLOAD_BYTES = 1188
BURST_PACKETS = 8
BURST_GAP_MS = 2.0
_AUDIO_OFFSET_MS = 11.0
"""Voice packets fall between the frames, as they do in a live encoder."""


@dataclass(frozen=True)
class TracePacket:
    """due_ms: from the start of the loop. timestamp: clock ticks from the start of the loop.

    keyframe: first packet of a key frame. inspected: short or parameter sets, not to be stamped.
    """

    due_ms: float
    kind: Literal["audio", "video"]
    timestamp: int
    marker: bool
    keyframe: bool
    payload: bytes
    parameters: bool = False


@dataclass(frozen=True)
class Trace:
    """packets: in send order. duration_ms: length of the loop."""

    packets: tuple[TracePacket, ...]
    duration_ms: float

    @property
    def keyframes(self) -> list[int]:
        """Indices of packets at which a key frame begins."""
        return [i for i, packet in enumerate(self.packets) if packet.keyframe]


def make_trace(seconds: int = SECONDS, width: int = WIDTH, height: int = HEIGHT) -> Trace:
    """Encode and packetise; takes about a second for 720p."""
    packets: list[TracePacket] = []
    for number, data in enumerate(_encode_video(seconds * FPS, width, height)):
        packets += _video_packets(number, split_annexb(data))
    packets += _audio_packets(seconds)
    packets.sort(key=lambda packet: packet.due_ms)
    return Trace(tuple(packets), seconds * 1000.0)


def _pictures(count: int, width: int, height: int) -> Iterator[np.ndarray]:
    """A still scene, a moving crowd of speckles, and enough noise to fill the bitrate."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width]
    scene = (110 + 50 * np.sin(rows / 37) * np.cos(columns / 53)).astype(np.int16)
    speckles = rng.integers(-24, 25, (height, width), np.int16)
    frame = np.full((height * 3 // 2, width), 128, np.uint8)
    band = slice(height // 3, height * 2 // 3)
    for number in range(count):
        luma = scene.copy()
        moving = np.roll(speckles[band], 3 * number, axis=1)
        luma[band] += moving + rng.integers(-6, 7, moving.shape, np.int16)
        frame[:height] = np.clip(luma, 16, 235)
        yield frame


def _encode_video(count: int, width: int, height: int) -> Iterator[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.framerate = Fraction(FPS, 1)
    encoder.bit_rate = VIDEO_BITS_PER_SECOND * width * height // (WIDTH * HEIGHT)
    encoder.gop_size = KEYFRAME_FRAMES
    kbits = max(encoder.bit_rate // 1000, 64)
    encoder.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "level": "3.1",
        "x264-params": f"scenecut=0:repeat-headers=1:annexb=1:threads=1:keyint={KEYFRAME_FRAMES}:"
        f"vbv-maxrate={kbits}:vbv-bufsize={kbits * 4 // 10}:nal-hrd=none",
    }
    for number, picture in enumerate(_pictures(count, width, height)):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            yield bytes(packet)
    for packet in encoder.encode(None):
        yield bytes(packet)


def split_annexb(data: bytes) -> list[bytes]:
    """NAL units of an Annex B access unit."""
    units: list[bytes] = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        following = data.find(b"\0\0\1", start + 3)
        unit = data[start + 3 : following if following >= 0 else None]
        units.append(unit.rstrip(b"\0") if following >= 0 else unit)
        start = following
    return units


def packetize_h264(units: list[bytes]) -> list[bytes]:
    """RFC 6184, packetization-mode 1: parameter sets in one STAP-A, slices whole or as FU-A."""
    payloads: list[bytes] = []
    sets = [unit for unit in units if unit[0] & 0x1F in (7, 8)]
    if sets:
        body = b"".join(len(unit).to_bytes(2, "big") + unit for unit in sets)
        payloads.append(bytes([0x78]) + body)
    for unit in units:
        if unit[0] & 0x1F not in (1, 5):
            continue
        if len(unit) <= MAX_PAYLOAD_BYTES:
            payloads.append(unit)
        else:
            payloads += _fragments(unit)
    return payloads


def _fragments(unit: bytes) -> list[bytes]:
    body = unit[1:]
    count = -(-len(body) // (MAX_PAYLOAD_BYTES - 2))
    cuts = [len(body) * i // count for i in range(count + 1)]
    indicator = unit[0] & 0xE0 | 28
    fragments = []
    for i in range(count):
        flags = (0x80 if i == 0 else 0) | (0x40 if i == count - 1 else 0)
        fragments.append(bytes([indicator, flags | unit[0] & 0x1F]) + body[cuts[i] : cuts[i + 1]])
    return fragments


def _video_packets(number: int, units: list[bytes]) -> list[TracePacket]:
    payloads = packetize_h264(units)
    keyframe = any(unit[0] & 0x1F == 5 for unit in units)
    return [
        TracePacket(
            due_ms=number * 1000 / FPS + i // BURST_PACKETS * BURST_GAP_MS,
            kind="video",
            timestamp=number * VIDEO_CLOCK // FPS,
            marker=i == len(payloads) - 1,
            keyframe=keyframe and i == 0,
            payload=payload,
            parameters=payload[0] & 0x1F == 24,
        )
        for i, payload in enumerate(payloads)
    ]


def _audio_packets(seconds: int) -> list[TracePacket]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = AUDIO_CLOCK
    encoder.layout = "mono"
    encoder.format = "s16"
    encoder.bit_rate = AUDIO_BITS_PER_SECOND
    encoder.options = {"frame_duration": "20", "vbr": "off"}
    time_s = np.arange(seconds * AUDIO_CLOCK) / AUDIO_CLOCK
    voice = np.sin(2 * np.pi * 180 * time_s) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time_s))
    samples = (voice * 9000).astype(np.int16)
    encoded: list[bytes] = []
    for number in range(seconds * 50):
        part = samples[number * 960 : (number + 1) * 960].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate = AUDIO_CLOCK
        frame.pts = number * 960
        encoded += [bytes(packet) for packet in encoder.encode(frame)]
    return [
        TracePacket(
            due_ms=number * 20 + _AUDIO_OFFSET_MS,
            kind="audio",
            timestamp=number * 960,
            marker=False,
            keyframe=False,
            payload=data,
        )
        for number, data in enumerate(encoded)
    ]
