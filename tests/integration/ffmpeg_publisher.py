"""FFmpeg's own WHIP muxer as a process: `python -m tests.integration.ffmpeg_publisher URL`.

A process of its own, because the muxer holds the interpreter while it shakes hands. The token
comes in $TOKEN. Publishes a moving gradient and a tone until it is terminated.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from fractions import Fraction
from types import FrameType

import av
import numpy as np

FPS = 30


def publish(url: str, token: str) -> None:
    """Until SIGTERM; a clean close sends DTLS close_notify."""
    running = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    options = {"authorization": token, "handshake_timeout": "8000"}
    output = av.open(url, "w", format="whip", options=options)
    encoder = {"preset": "ultrafast", "g": "60", "profile": "baseline", "tune": "zerolatency"}
    video = output.add_stream("libx264", rate=FPS, options=encoder)
    video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
    audio = output.add_stream("libopus", rate=48_000)
    audio.layout = "stereo"
    ramp = np.tile(np.arange(320).astype(np.uint8), (270, 1))
    begun, frames, samples = time.monotonic(), 0, 0
    while running:
        picture = av.VideoFrame.from_ndarray(np.roll(ramp, frames * 3, 1), format="yuv420p")
        picture.pts, picture.time_base = frames, Fraction(1, FPS)
        output.mux(video.encode(picture))
        while samples < (frames + 1) * 48_000 // FPS:
            wave = np.sin(np.arange(samples, samples + 960) * 2 * np.pi * 440 / 48_000)
            stereo = np.repeat((wave * 8000).astype(np.int16), 2)[None, :]
            sound = av.AudioFrame.from_ndarray(stereo, "s16", "stereo")
            sound.sample_rate, sound.pts = 48_000, samples
            output.mux(audio.encode(sound))
            samples += 960
        frames += 1
        time.sleep(max(0.0, begun + frames / FPS - time.monotonic()))
    output.close()


if __name__ == "__main__":
    publish(sys.argv[1], os.environ["TOKEN"])
