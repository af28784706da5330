"""The encoders: H.264 for every browser and every commune's old PC, VP8 on request, Opus."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from hub.source.units import AUDIO_CLOCK, VIDEO_CLOCK, EncodedUnit, VideoCodec

KEYFRAME_INTERVAL_S = 2.0
MIN_FORCED_KEYFRAME_GAP_S = 0.5
"""PLIs nearer than this to the last key frame are answered by one frame after the gap."""
VBV_S = 0.4
"""Rate buffer: bounds a key frame to this many seconds of the line."""
AUDIO_FRAME_S = 0.02
AUDIO_FRAME_SAMPLES = 960

_H264_OPTIONS = {
    "preset": "superfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "forced-idr": "1",
    "bf": "0",
    # One thread: slices or frame threads would cost latency and size, and 720p30 needs 12 % of one.
    "x264-params": "scenecut=0:repeat-headers=1:annexb=1:threads=1",
}
_VP8_OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "error-resilient": "1",
    "auto-alt-ref": "0",
}


class VideoEncoder:
    """Encodes I420 pictures; key frames every KEYFRAME_INTERVAL_S and on request.

    encode() belongs to one thread; request_keyframe() and set_bitrate() to any.
    """

    def __init__(
        self, codec: VideoCodec, width: int, height: int, fps: float, bits_per_second: int
    ) -> None:
        self._codec = codec
        self._size = (width, height)
        self._fps = fps
        self._lock = threading.Lock()
        self._wanted_bitrate = bits_per_second
        self._bitrate = bits_per_second
        self._keyframe_wanted = False
        self._last_keyframe_s = float("-inf")
        self._context = self._open()

    @property
    def bits_per_second(self) -> int:
        return self._bitrate

    def request_keyframe(self) -> None:
        """The next picture, or the first MIN_FORCED_KEYFRAME_GAP_S after the last, is a key."""
        with self._lock:
            self._keyframe_wanted = True

    def set_bitrate(self, bits_per_second: int) -> None:
        with self._lock:
            self._wanted_bitrate = bits_per_second

    def encode(self, frame: av.VideoFrame, media_s: float, layer: int = 0) -> list[EncodedUnit]:
        """0 or more units (one, with these encoders) for a picture at `media_s`."""
        force = self._take_requests(media_s)
        frame.pts = round(media_s * VIDEO_CLOCK)
        frame.time_base = Fraction(1, VIDEO_CLOCK)
        frame.pict_type = PictureType.I if force else PictureType.NONE
        units = []
        for packet in self._context.encode(frame):
            if packet.is_keyframe:
                self._last_keyframe_s = media_s
            seconds = media_s if packet.pts is None else packet.pts / VIDEO_CLOCK
            data = bytes(packet)
            units.append(EncodedUnit("video", seconds, data, packet.is_keyframe, layer=layer))
        return units

    def encode_i420(self, planes: npt.NDArray[np.uint8], media_s: float) -> list[EncodedUnit]:
        """The same for uint8[height * 3 / 2, width]."""
        return self.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p"), media_s)

    def _take_requests(self, media_s: float) -> bool:
        with self._lock:
            since = media_s - self._last_keyframe_s
            force = since >= KEYFRAME_INTERVAL_S - 0.5 / self._fps
            if self._keyframe_wanted and since >= MIN_FORCED_KEYFRAME_GAP_S:
                force = True
            if force:
                self._keyframe_wanted = False
            wanted = self._wanted_bitrate
        if wanted != self._bitrate:
            self._bitrate = wanted
            if self._codec == "h264":
                self._context.bit_rate = wanted
            else:
                # libvpx through FFmpeg takes a new rate only when opened anew.
                self._context = self._open()
                force = True
        return force

    def _open(self) -> Any:
        context: Any = av.CodecContext.create("libx264" if self._codec == "h264" else "libvpx", "w")
        context.width, context.height = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, VIDEO_CLOCK)
        context.framerate = Fraction(self._fps).limit_denominator(1001)
        context.bit_rate = self._bitrate
        options = dict(_H264_OPTIONS if self._codec == "h264" else _VP8_OPTIONS)
        # The interval is kept by clock in _take_requests: a slow source has key frames in time too.
        options["g"] = str(round(self._fps * 60))
        options["maxrate"] = str(self._bitrate)
        options["bufsize"] = str(round(self._bitrate * VBV_S))
        context.options = options
        context.open()
        return context


class AudioEncoder:
    """Opus, 48 kHz, 20 ms, in-band FEC."""

    def __init__(self, channels: int = 1, bits_per_second: int = 40_000) -> None:
        self._layout = "stereo" if channels == 2 else "mono"
        context: Any = av.CodecContext.create("libopus", "w")
        context.sample_rate = AUDIO_CLOCK
        context.layout = self._layout
        context.format = "s16"
        context.time_base = Fraction(1, AUDIO_CLOCK)
        context.bit_rate = bits_per_second
        context.options = {
            # Below "voip" libopus seldom picks the modes that carry in-band FEC.
            "application": "voip",
            "frame_duration": "20",
            "fec": "1",
            "packet_loss": "10",
            "vbr": "constrained",
        }
        context.open()
        self._context = context
        self._samples = 0

    def encode(self, samples: npt.NDArray[np.int16], media_s: float) -> list[EncodedUnit]:
        """One unit for int16[AUDIO_FRAME_SAMPLES * channels], interleaved."""
        frame: Any = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1), format="s16", layout=self._layout
        )
        frame.sample_rate = AUDIO_CLOCK
        frame.time_base = Fraction(1, AUDIO_CLOCK)
        frame.pts = self._samples
        self._samples += AUDIO_FRAME_SAMPLES
        level = audio_level(samples)
        return [
            EncodedUnit("audio", media_s, bytes(packet), audio_level=level)
            for packet in self._context.encode(frame)
        ]


def audio_level(samples: npt.NDArray[np.int16]) -> int:
    """RFC 6464 level of int16 samples: 0 (full scale) to 127 (silence), in -dBov."""
    if not samples.size:
        return 127
    wide = samples.astype(np.float64)
    rms = float(np.sqrt(np.mean(wide * wide))) / 32768.0
    if rms <= 0:
        return 127
    return int(min(127, max(0, round(-20 * np.log10(rms)))))
