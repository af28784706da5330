"""Small clips from real encoders, and the plainest packetizers, for codec tests."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np

Unit = tuple[bytes, int, bool]
"""(access unit, presentation time in frames, key frame)."""

FPS = 30
SAMPLE_RATE = 48000


def pictures(count: int, width: int, height: int) -> list[av.VideoFrame]:
    """Moving gradients, so that encoders have reason for every frame type."""
    y, x = np.mgrid[0:height, 0:width]
    frames = []
    for index in range(count):
        wave = 128 + 100 * np.sin((x + 9 * index) / 17) * np.cos((y + 5 * index) / 13)
        image = np.repeat(wave[:, :, None], 3, axis=2).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        frames.append(frame)
    return frames


@cache
def video_units(
    codec: str,
    options: tuple[tuple[str, str], ...] = (),
    *,
    count: int = 20,
    size: tuple[int, int] = (320, 176),
    pixel_format: str = "yuv420p",
) -> tuple[Unit, ...]:
    """Units in decoding order."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = size
    context.pix_fmt = pixel_format
    context.time_base = Fraction(1, FPS)
    context.framerate = Fraction(FPS)
    context.bit_rate = 400_000
    context.options = dict(options)
    packets = []
    for frame in pictures(count, *size):
        packets += context.encode(frame.reformat(format=pixel_format))
    packets += context.encode(None)
    return tuple((bytes(p), int(p.pts or 0), bool(p.is_keyframe)) for p in packets)


def h264(
    *,
    b_frames: int = 0,
    profile: str = "high",
    params: str = "",
    count: int = 20,
    size: tuple[int, int] = (320, 176),
    pixel_format: str = "yuv420p",
) -> tuple[Unit, ...]:
    """Annex B units of libx264; a key frame every 10 frames."""
    fixed = f"keyint=10:scenecut=0:bframes={b_frames}:b-adapt=0:annexb=1:repeat-headers=1"
    options = (
        ("preset", "veryfast"),
        ("profile", profile),
        ("x264-params", f"{fixed}:{params}" if params else fixed),
    )
    return video_units("libx264", options, count=count, size=size, pixel_format=pixel_format)


def nals(stream: bytes) -> list[bytes]:
    """NAL units of an Annex B stream."""
    parts = re.split(b"\x00\x00\x01", stream)[1:]
    return [part.rstrip(b"\x00") for part in parts if part.rstrip(b"\x00")]


def fu_a(nal: bytes, limit: int = 300) -> list[bytes]:
    """A NAL unit as FU-A fragments, or alone if it fits."""
    if len(nal) <= limit:
        return [nal]
    pieces = [nal[at : at + limit] for at in range(1, len(nal), limit)]
    last = len(pieces) - 1
    return [
        bytes((nal[0] & 0xE0 | 28, nal[0] & 0x1F | (i == 0) << 7 | (i == last) << 6)) + piece
        for i, piece in enumerate(pieces)
    ]


def stap(units: list[bytes]) -> bytes:
    """STAP-A."""
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def h264_packets(unit: bytes, *, drop: tuple[int, ...] = ()) -> list[bytes]:
    """An access unit as payloads, NAL units of the types in `drop` left out."""
    return [p for n in nals(unit) if n[0] & 0x1F not in drop for p in fu_a(n)]


def sound(kind: str, count: int = 50, amplitude: float = 0.5) -> list[av.AudioFrame]:
    """20 ms mono frames: `tone` or `silence`."""
    frames = []
    for index in range(count):
        t = (np.arange(960) + 960 * index) / SAMPLE_RATE
        wave = amplitude * np.sin(2 * math.pi * 440 * t) if kind == "tone" else np.zeros(960)
        frame = av.AudioFrame.from_ndarray(
            (wave * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = SAMPLE_RATE, 960 * index
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frames.append(frame)
    return frames


@cache
def opus_packets(kind: str, options: tuple[tuple[str, str], ...] = ()) -> tuple[bytes, ...]:
    """Opus packets of libopus."""
    context: Any = av.CodecContext.create("libopus", "w")
    context.sample_rate = SAMPLE_RATE
    context.layout = "mono"
    context.format = "s16"
    context.bit_rate = 24_000
    context.time_base = Fraction(1, SAMPLE_RATE)
    context.options = dict(options)
    packets = []
    for frame in sound(kind):
        packets += context.encode(frame)
    packets += context.encode(None)
    return tuple(bytes(p) for p in packets)


def obus(unit: bytes) -> list[bytes]:
    """OBUs of a temporal unit without their size fields, the temporal delimiter left out."""
    found = []
    at = 0
    while at < len(unit):
        header = unit[at]
        head = bytes((header & ~0x02,)) + (unit[at + 1 : at + 2] if header & 0x04 else b"")
        at += len(head)
        size = shift = 0
        while True:
            byte = unit[at]
            size |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                break
        if header >> 3 & 0x0F != 2:
            found.append(head + unit[at : at + size])
        at += size
    return found


def leb128(value: int) -> bytes:
    """Little-endian base 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def av1_packets(unit: bytes, *, new_sequence: bool, limit: int = 300) -> list[bytes]:
    """A temporal unit as payloads: the first OBUs together (W = 0), a large last one cut."""
    *small, last = obus(unit)
    pieces = [last[at : at + limit] for at in range(0, len(last), limit)]
    count = len(pieces)
    head = b"".join(leb128(len(obu)) + obu for obu in small) + leb128(len(pieces[0])) + pieces[0]
    flags = (0x08 if new_sequence else 0) | (0x40 if count > 1 else 0)
    packets = [bytes((flags,)) + head]
    for index, piece in enumerate(pieces[1:], 2):
        packets.append(bytes((0x90 | (0x40 if index < count else 0),)) + piece)
    return packets
