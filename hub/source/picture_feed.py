"""The generated feed: test picture and tone on one clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from hub.source.encode import AUDIO_FRAME_S, AudioEncoder
from hub.source.ladder import Ladder
from hub.source.picture import FLASH_S, HEIGHT, WIDTH, TestPicture
from hub.source.tone import Tone
from hub.source.units import EncodedUnit, FeedClock, VideoCodec

MAX_LAG_S = 0.5
"""A lane that is later than this (the machine slept) skips to the present."""


class PictureFeed:
    """A Feed that draws its own picture and makes its own sound.

    title: what the picture says is on. bits_per_second: of the video. wall_clock: seconds since
    the epoch, for tests.
    """

    def __init__(
        self,
        title: str,
        *,
        codec: VideoCodec = "h264",
        fps: int = 30,
        bits_per_second: int = 2_500_000,
        audio: bool = True,
        layers: int = 1,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.codec: VideoCodec = codec
        self.has_video = True
        self.has_audio = audio
        self.layers = layers
        self._fps = fps
        self._wall_clock = wall_clock
        self._picture = TestPicture(title)
        self._encoder = Ladder(codec, WIDTH, HEIGHT, fps, bits_per_second, layers)
        self._tone = Tone() if audio else None

    def lanes(self, clock: FeedClock) -> list[Iterator[EncodedUnit]]:
        # One origin for both lanes: flash and beep begin on the wall clock's seconds together.
        origin = self._wall_clock() - clock.now_s()
        lanes = [self._video(clock, origin)]
        return lanes + ([self._audio(self._tone, clock, origin)] if self._tone else [])

    def request_keyframe(self, layer: int | None = None) -> None:
        self._encoder.request_keyframe(layer)

    def set_bitrate(self, bits_per_second: int) -> None:
        self._encoder.set_bitrate(bits_per_second)

    def _video(self, clock: FeedClock, origin: float) -> Iterator[EncodedUnit]:
        frame = 0
        while clock.wait_until(frame / self._fps):
            frame = _caught_up(frame, 1 / self._fps, clock.now_s())
            media_s = frame / self._fps
            flash = (origin + media_s) % 1.0 < FLASH_S
            planes = self._picture.draw(frame, self._wall_clock(), flash)
            yield from self._encoder.encode_i420(planes, media_s)
            frame += 1

    def _audio(self, tone: Tone, clock: FeedClock, origin: float) -> Iterator[EncodedUnit]:
        encoder = AudioEncoder()
        frame = 0
        while clock.wait_until(frame * AUDIO_FRAME_S):
            frame = _caught_up(frame, AUDIO_FRAME_S, clock.now_s())
            media_s = frame * AUDIO_FRAME_S
            yield from encoder.encode(tone.frame(origin + media_s), media_s)
            frame += 1


def _caught_up(frame: int, period_s: float, now_s: float) -> int:
    return frame if now_s - frame * period_s < MAX_LAG_S else int(now_s / period_s)
