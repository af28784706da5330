"""Watching one audio source: is there sound, and is it too loud."""

from __future__ import annotations

from relay.core.codecs import CodecError
from relay.core.codecs.opus import inspect_opus
from relay.core.codecs.red import parse_red
from relay.core.lint_limits import LintLimits
from relay.core.lint_window import SlidingSum

LEVEL_MASK = 0x7F
"""RFC 6464: the byte's upper bit is voice activity."""
SILENT_OPUS_BYTES = 3
"""libopus codes digital silence in 3 bytes, and DTX in at most 2; the faintest sound takes more."""


class AudioWatch:
    """One audio source.

    level: newest RFC 6464 level (0 loudest … 127 silent), None before one. loud_ms: when it was
    last louder than the quiet limit. content_ms: when a packet last had room for sound.
    """

    def __init__(self, codec_name: str, limits: LintLimits, now_ms: float) -> None:
        self.codec_name = codec_name
        self.first_ms = self.last_ms = now_ms
        self.level: int | None = None
        self.level_ms = now_ms
        self.loud_ms = now_ms
        self.content_ms = now_ms
        self.levels = SlidingSum(limits.window_ms)
        self.clipped = SlidingSum(limits.window_ms)
        self.malformed = SlidingSum(limits.window_ms)
        self._limits = limits

    def on_packet(self, payload: bytes, now_ms: float, audio_level: int | None) -> None:
        """Take one packet; a malformed payload is counted."""
        self.last_ms = now_ms
        if audio_level is not None:
            self._on_level(audio_level & LEVEL_MASK, now_ms)
        if not payload:
            return
        try:
            primary = parse_red(payload)[-1].data if self.codec_name == "RED" else payload
            if self.codec_name == "OPUS":
                inspect_opus(payload)
        except CodecError:
            self.malformed.add(now_ms)
            return
        if len(primary) > SILENT_OPUS_BYTES:
            self.content_ms = now_ms

    def quiet_for_ms(self, now_ms: float) -> float:
        """How long no sound has been heard, by levels if they come, else by packet sizes."""
        return now_ms - (self.loud_ms if self.has_levels(now_ms) else self.content_ms)

    def has_levels(self, now_ms: float) -> bool:
        """Levels come with the packets."""
        return self.level is not None and now_ms - self.level_ms < self._limits.quiet_ms

    def clipped_share(self, now_ms: float) -> float:
        """Share of the window's packets at full level; 0 when there are too few to tell."""
        levels = self.levels.total(now_ms)
        return self.clipped.total(now_ms) / levels if levels >= 10 else 0.0

    def _on_level(self, level: int, now_ms: float) -> None:
        if level < self._limits.quiet_level:
            self.loud_ms = now_ms
        self.level, self.level_ms = level, now_ms
        self.levels.add(now_ms)
        if level <= self._limits.clipping_level:
            self.clipped.add(now_ms)
