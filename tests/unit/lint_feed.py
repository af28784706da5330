"""Feeds an ingest linter as a publisher would, on a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.lint import Finding, IngestLinter, LintLimits
from relay.core.negotiation import CodecParameters

H264 = CodecParameters(102, "H264", 90000, fmtp={"packetization-mode": "1"})
VP8 = CodecParameters(96, "VP8", 90000)
OPUS = CodecParameters(111, "OPUS", 48000, 2)
SPEECH = b"\xf8" + bytes(range(60))
AUDIO_MS = 20.0


class Feed:
    """now_ms: the virtual clock. Voice at level 30 comes along unless `audio` is cleared."""

    def __init__(
        self,
        limits: LintLimits | None = None,
        codecs: Sequence[tuple[str, CodecParameters]] = (("video", H264), ("audio", OPUS)),
    ) -> None:
        self.linter = IngestLinter(limits)
        for kind, codec in codecs:
            self.linter.on_negotiated(kind, codec)  # type: ignore[arg-type]
        self.now_ms = 50_000.0
        self.linter.poll(self.now_ms)
        self.audio = True
        self.level: int | None = 30
        self.speech = SPEECH
        self._audio_ms = self.now_ms

    def video(
        self, payloads: Sequence[bytes], timestamp: int, codec: str = "H264", key: str = "v"
    ) -> None:
        """Packets of one frame, all at once."""
        for payload in payloads:
            self.linter.on_packet(key, "video", codec, payload, timestamp, False, self.now_ms, None)

    def run(self, duration_ms: float) -> None:
        """Let time pass, with audio if it is on."""
        end_ms = self.now_ms + duration_ms
        while self._audio_ms + AUDIO_MS <= end_ms:
            self._audio_ms += AUDIO_MS
            if self.audio:
                ticks = int(self._audio_ms * 48)
                self.linter.on_packet(
                    "a", "audio", "OPUS", self.speech, ticks, True, self._audio_ms, self.level
                )
        self.now_ms = end_ms

    def frames(
        self,
        frames: Sequence[tuple[Sequence[bytes], int]],
        *,
        fps: float = 30.0,
        codec: str = "H264",
        start: int = 0,
    ) -> None:
        """(payloads, presentation number) in decoding order, at `fps`."""
        for payloads, number in frames:
            self.video(payloads, start + int(number * 90000 / fps), codec)
            self.run(1000.0 / fps)

    def findings(self) -> dict[str, Finding]:
        """What the linter says now, by code."""
        return {finding.code: finding for finding in self.linter.poll(self.now_ms)}

    def faults(self) -> set[str]:
        """Codes graver than info."""
        return {code for code, found in self.findings().items() if found.severity != "info"}
