"""What a feed hands to the sender: one encoded picture or one piece of encoded sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

VIDEO_CLOCK = 90_000
AUDIO_CLOCK = 48_000

VideoCodec = Literal["h264", "vp8"]


@dataclass(frozen=True, slots=True)
class EncodedUnit:
    """One frame.

    media_s: presentation time in seconds since the feed began, the same zero for both kinds.
    data: Annex B (H.264), a VP8 frame or an Opus packet. audio_level: RFC 6464 level, 0 (loud) to
    127 (silent) -dBov, audio only. layer: of video, 0 the richest.
    """

    kind: Literal["audio", "video"]
    media_s: float
    data: bytes
    keyframe: bool = False
    audio_level: int | None = None
    layer: int = 0


class FeedClock(Protocol):
    """Media time of a running feed, given to its lanes; usable from any thread."""

    def now_s(self) -> float:
        """Seconds since the feed began."""

    def wait_until(self, media_s: float) -> bool:
        """Block until that media second; False when the feed is to end."""


class Feed(Protocol):
    """Where units come from. Methods other than `lanes` may be called from any thread."""

    codec: VideoCodec
    has_video: bool
    has_audio: bool
    layers: int
    """Of the picture."""

    def lanes(self, clock: FeedClock) -> list[Iterator[EncodedUnit]]:
        """Generators to be run each in a thread of its own, units in order of media_s.

        Each unit is yielded when it is due: the lane waits on `clock` and ends when told to.
        """

    def request_keyframe(self, layer: int | None = None) -> None:
        """Of one layer, or of all."""

    def set_bitrate(self, bits_per_second: int) -> None:
        """New video target, for all layers together."""
