"""A video file in a loop: any container and codec that FFmpeg reads, re-encoded at 720p30.

Re-encoding even what could be copied keeps one path and gives what a copy cannot: key frames on
request, the bitrate that the line carries, and time stamps that run on over the seam.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from hub.source.encode import AUDIO_FRAME_S
from hub.source.ladder import Ladder
from hub.source.sound import SoundEncoder
from hub.source.units import EncodedUnit, FeedClock, VideoCodec

MAX_WIDTH, MAX_HEIGHT = 1280, 720
MAX_FPS = 30


class FeedError(Exception):
    """The file or device cannot be used; the message says why, for a person."""


class FileFeed:
    """A Feed over a file. Raises FeedError if it has neither picture nor sound."""

    def __init__(
        self,
        path: Path,
        *,
        codec: VideoCodec = "h264",
        bits_per_second: int = 2_500_000,
        audio: bool = True,
        layers: int = 1,
    ) -> None:
        self.codec: VideoCodec = codec
        self.layers = layers
        self._path = path
        with _open(path) as container:
            video = container.streams.video[0] if container.streams.video else None
            self.has_video = video is not None
            self.has_audio = audio and bool(container.streams.audio)
            self._encoder = None
            if video is not None:
                rate = float(video.average_rate or video.guessed_rate or MAX_FPS)
                self._fps = min(float(MAX_FPS), max(1.0, rate))
                self._size = fitted_size(video.codec_context.width, video.codec_context.height)
                self._encoder = Ladder(codec, *self._size, self._fps, bits_per_second, layers)
        if not self.has_video and not self.has_audio:
            raise FeedError(f"{path} has neither picture nor sound")

    def lanes(self, clock: FeedClock) -> list[Iterator[EncodedUnit]]:
        # One lane: both kinds come from one demuxer, and one decides when the loop turns.
        return [self._loop(clock)]

    def request_keyframe(self, layer: int | None = None) -> None:
        if self._encoder is not None:
            self._encoder.request_keyframe(layer)

    def set_bitrate(self, bits_per_second: int) -> None:
        if self._encoder is not None:
            self._encoder.set_bitrate(bits_per_second)

    def _loop(self, clock: FeedClock) -> Iterator[EncodedUnit]:
        sound = SoundEncoder() if self.has_audio else None
        start_s = 0.0
        while True:
            turn = _Turn(self, clock, start_s, sound)
            with _open(self._path) as container:
                yield from turn.play(container)
            if turn.stopped:
                return
            if turn.end_s <= start_s:
                raise FeedError(f"{self._path} has nothing that can be decoded")
            start_s = turn.end_s

    def encode_picture(self, frame: av.VideoFrame, media_s: float) -> list[EncodedUnit]:
        """One decoded picture, scaled."""
        if self._encoder is None:
            return []
        width, height = self._size
        return self._encoder.encode(
            frame.reformat(width=width, height=height, format="yuv420p"), media_s
        )

    @property
    def frame_s(self) -> float:
        """Shortest time between two pictures sent."""
        return 1 / self._fps if self.has_video else AUDIO_FRAME_S


class _Turn:
    """One pass over the file; its zero is `start_s` of the feed."""

    def __init__(
        self, feed: FileFeed, clock: FeedClock, start_s: float, sound: SoundEncoder | None
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._start_s = start_s
        self._sound = sound
        self._zero_s: float | None = None
        self._last_video_s = float("-inf")
        self.end_s = start_s
        self.stopped = False

    def play(self, container: Any) -> Iterator[EncodedUnit]:
        streams = []
        if self._feed.has_video:
            streams.append(container.streams.video[0])
        if self._feed.has_audio:
            streams.append(container.streams.audio[0])
        if self._sound is not None:
            self._sound.restart()
        for frame in _frames(container, streams):
            if frame.time is None:
                continue
            if self._zero_s is None:
                self._zero_s = frame.time
            media_s = self._start_s + frame.time - self._zero_s
            units = (
                self._picture(frame, media_s)
                if isinstance(frame, av.VideoFrame)
                else self._samples(frame, media_s)
            )
            for unit in units:
                if not self._clock.wait_until(unit.media_s):
                    self.stopped = True
                    return
                yield unit

    def _picture(self, frame: av.VideoFrame, media_s: float) -> list[EncodedUnit]:
        # A quarter of tolerance: container times are rounded; 60 pictures a second become 30.
        if media_s - self._last_video_s < self._feed.frame_s * 0.75 or media_s < self._start_s:
            return []
        self._last_video_s = media_s
        self.end_s = max(self.end_s, media_s + self._feed.frame_s)
        return self._feed.encode_picture(frame, media_s)

    def _samples(self, frame: av.AudioFrame, media_s: float) -> list[EncodedUnit]:
        if self._sound is None:
            return []
        self.end_s = max(self.end_s, media_s + frame.samples / frame.sample_rate)
        return self._sound.feed(frame, media_s)


def fitted_size(width: int, height: int) -> tuple[int, int]:
    """Even size of the same shape within 1280x720, never larger than the original."""
    scale = min(1.0, MAX_WIDTH / max(1, width), MAX_HEIGHT / max(1, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _frames(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Decoded frames; a damaged packet costs itself, not the broadcast."""
    for packet in container.demux(streams):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _open(path: Path) -> Any:
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise FeedError(f"{path} cannot be opened: {error}") from error
