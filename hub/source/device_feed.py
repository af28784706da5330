"""Camera and microphone through FFmpeg's devices (v4l2, pulse, alsa, avfoundation, dshow)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error

from hub.source.file_feed import MAX_FPS, MAX_HEIGHT, MAX_WIDTH, FeedError, fitted_size
from hub.source.ladder import Ladder
from hub.source.sound import SoundEncoder
from hub.source.units import EncodedUnit, FeedClock, VideoCodec


@dataclass(frozen=True)
class Device:
    """format: FFmpeg's input device. name: as that device wants it, e.g. /dev/video0, default."""

    format: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Device:
        """`v4l2:/dev/video0`, `pulse:default`, `avfoundation:0`, `dshow:video=Camera`, or a bare
        /dev/video path. Raises FeedError for anything else."""
        if text.startswith("/dev/video"):
            return cls("v4l2", text)
        form, colon, name = text.partition(":")
        if not colon or not form or not name:
            raise FeedError(f"{text!r} is no device: write format:name, e.g. v4l2:/dev/video0")
        return cls(form, name)


class DeviceFeed:
    """A Feed over a camera, a microphone or both. Raises FeedError if one cannot be opened."""

    def __init__(
        self,
        camera: Device | None,
        microphone: Device | None,
        *,
        codec: VideoCodec = "h264",
        bits_per_second: int = 2_500_000,
        layers: int = 1,
    ) -> None:
        self.codec: VideoCodec = codec
        self.layers = layers
        self.has_video = camera is not None
        self.has_audio = microphone is not None
        wanted = {"video_size": f"{MAX_WIDTH}x{MAX_HEIGHT}", "framerate": str(MAX_FPS)}
        self._camera = _open(camera, wanted) if camera else None
        self._microphone = _open(microphone, {}) if microphone else None
        self._encoder: Ladder | None = None
        if self._camera is not None:
            if not self._camera.streams.video:
                raise FeedError(f"{camera} gives no picture")
            context = self._camera.streams.video[0].codec_context
            self._size = fitted_size(context.width, context.height)
            self._encoder = Ladder(codec, *self._size, MAX_FPS, bits_per_second, layers)
        if self._microphone is not None and not self._microphone.streams.audio:
            raise FeedError(f"{microphone} gives no sound")

    def lanes(self, clock: FeedClock) -> list[Iterator[EncodedUnit]]:
        lanes = []
        if self._camera is not None and self._encoder is not None:
            lanes.append(self._video(self._camera, self._encoder, clock))
        if self._microphone is not None:
            lanes.append(self._audio(self._microphone, clock))
        return lanes

    def request_keyframe(self, layer: int | None = None) -> None:
        if self._encoder is not None:
            self._encoder.request_keyframe(layer)

    def set_bitrate(self, bits_per_second: int) -> None:
        if self._encoder is not None:
            self._encoder.set_bitrate(bits_per_second)

    def _video(self, camera: Any, encoder: Ladder, clock: FeedClock) -> Iterator[EncodedUnit]:
        width, height = self._size
        last_s = float("-inf")
        with camera:
            for frame in camera.decode(video=0):
                # Devices stamp with clocks of their own; both lanes go by the time of arrival.
                media_s = clock.now_s()
                if not clock.wait_until(0.0):
                    return
                if media_s - last_s < 0.75 / MAX_FPS:
                    continue
                last_s = media_s
                picture = frame.reformat(width=width, height=height, format="yuv420p")
                yield from encoder.encode(picture, media_s)
        raise FeedError("the camera has stopped")

    def _audio(self, microphone: Any, clock: FeedClock) -> Iterator[EncodedUnit]:
        sound = SoundEncoder()
        with microphone:
            for frame in microphone.decode(audio=0):
                if not clock.wait_until(0.0):
                    return
                yield from sound.feed(frame, clock.now_s() - frame.samples / frame.sample_rate)
        raise FeedError("the microphone has stopped")


def _open(device: Device, options: dict[str, str]) -> Any:
    try:
        return av.open(device.name, format=device.format, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise FeedError(f"{device.format}:{device.name} cannot be opened: {error}") from error
