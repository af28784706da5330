"""The ingest linter: what a technician should change, said while it matters.

Fed with every packet of one publisher and polled some times a second. A finding appears within a
second or two of its cause and goes when the cause has gone; its code is stable, its sentence says
what to change. State is bounded: a few sources, each with counters of constant size.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from relay.core.lint_audio import AudioWatch
from relay.core.lint_checks import Fault, Severity, check_audio, check_videos, worst_by_code
from relay.core.lint_limits import LintLimits
from relay.core.lint_texts import compose
from relay.core.lint_video import VideoWatch
from relay.core.negotiation import CodecParameters, Kind

__all__ = ["Finding", "IngestLinter", "LintLimits", "Severity"]

MAX_SOURCES = 8
"""Of each kind; the one silent longest leaves first."""
MAX_CODECS = 32

_MIN_H264_PACKETS_MS = 1000.0

_Watch = TypeVar("_Watch", VideoWatch, AudioWatch)


@dataclass(slots=True, frozen=True)
class Finding:
    """One thing to change. vi, en: whole sentences. since_ms: when it was first found.

    data: the figures, units in their names (`gap_s`, `bitrate_mbps`, `share_percent`).
    """

    code: str
    severity: Severity
    vi: str
    en: str
    since_ms: float
    data: Mapping[str, float | str]


class IngestLinter:
    """Per publisher. Times are monotonic milliseconds."""

    def __init__(self, limits: LintLimits | None = None) -> None:
        self.limits = limits if limits is not None else LintLimits()
        self._videos: dict[Hashable, VideoWatch] = {}
        self._audios: dict[Hashable, AudioWatch] = {}
        self._codecs: list[tuple[Kind, CodecParameters]] = []
        self._since: dict[str, float] = {}
        self._begun_ms: float | None = None
        self._heard_ms: dict[Kind, float] = {}

    def on_negotiated(self, kind: Kind, codec: CodecParameters) -> None:
        """Note a codec that the publisher may send; call for each."""
        if len(self._codecs) < MAX_CODECS:
            self._codecs.append((kind, codec))

    def on_packet(
        self,
        source_key: Hashable,
        kind: Kind,
        codec_name: str,
        payload: bytes,
        timestamp: int,
        marker: bool,
        arrival_ms: float,
        audio_level: int | None,
    ) -> None:
        """Take one packet. timestamp: extended, in ticks. audio_level: RFC 6464 byte or None.

        Never raises for what the publisher sent. Raises LookupError for an unknown video codec.
        """
        self._heard_ms[kind] = arrival_ms
        if kind == "video":
            video = self._videos.get(source_key)
            if video is None or video.codec_name != codec_name:
                video = VideoWatch(codec_name, self.limits, arrival_ms)
                self._begin_h264(video)
                _keep(self._videos, source_key, video)
            video.on_packet(payload, timestamp, arrival_ms)
        else:
            audio = self._audios.get(source_key)
            if audio is None or audio.codec_name != codec_name:
                audio = AudioWatch(codec_name, self.limits, arrival_ms)
                _keep(self._audios, source_key, audio)
            audio.on_packet(payload, arrival_ms, audio_level)

    def on_repaired(self, source_key: Hashable, now_ms: float) -> None:
        """Parameter sets were put into this source before one of its key frames."""
        video = self._videos.get(source_key)
        if video is not None and video.h264 is not None:
            video.h264.repaired_ms = now_ms

    def on_keyframe_requested(self, source_key: Hashable, now_ms: float) -> None:
        """A key frame was asked for. An encoder that answers is not blamed for long gaps."""
        video = self._videos.get(source_key)
        if video is not None:
            video.on_keyframe_requested(now_ms)

    def poll(self, now_ms: float) -> list[Finding]:
        """What is wrong now, gravest first."""
        if self._begun_ms is None:
            self._begun_ms = now_ms
        faults = worst_by_code(self._faults(now_ms))
        self._since = {code: self._since.get(code, now_ms) for code in faults}
        findings = [self._finding(fault) for fault in faults.values()]
        order = ("error", "warning", "info")
        return sorted(findings, key=lambda finding: order.index(finding.severity))

    def _finding(self, fault: Fault) -> Finding:
        sentence = compose(fault.text, fault.data)
        since_ms = self._since[fault.code]
        return Finding(fault.code, fault.severity, *sentence, since_ms, fault.data)

    def _faults(self, now_ms: float) -> Iterator[Fault]:
        videos = _active(self._videos, now_ms - self.limits.no_media_ms)
        audios = _active(self._audios, now_ms - self.limits.no_media_ms)
        yield from self._check_presence("video", now_ms)
        yield from self._check_presence("audio", now_ms)
        yield from check_videos(videos, self.limits, now_ms)
        yield from self._check_packetization(videos, now_ms)
        for audio in audios:
            yield from check_audio(audio, self.limits, now_ms)

    def _check_presence(self, kind: Kind, now_ms: float) -> Iterator[Fault]:
        """no_video, no_audio."""
        heard_ms = self._heard_ms.get(kind)
        if heard_ms is None:
            heard_ms = self._first_media_ms()
        silent_ms = now_ms - heard_ms
        if silent_ms < self.limits.no_media_ms:
            return
        if any(known == kind for known, _ in self._codecs) or kind in self._heard_ms:
            yield Fault("error", f"no_{kind}", {"silent_s": silent_ms / 1000})
        else:
            yield Fault("warning", f"no_{kind}.not_negotiated", {})

    def _first_media_ms(self) -> float:
        """From when on media must come: its first packet of any kind, or the end of the grace."""
        firsts = [video.first_ms for video in self._videos.values()]
        firsts += [audio.first_ms for audio in self._audios.values()]
        if firsts:
            return min(firsts)
        assert self._begun_ms is not None
        return self._begun_ms + self.limits.connect_grace_ms - self.limits.no_media_ms

    def _check_packetization(self, videos: list[VideoWatch], now_ms: float) -> Iterator[Fault]:
        """RFC 6184 section 6.2: without the parameter the mode is 0."""
        modes = {
            codec.fmtp.get("packetization-mode", "0")
            for _, codec in self._codecs
            if codec.name == "H264"
        }
        if not modes or modes - {"0"}:
            return
        for video in videos:
            old_enough = now_ms - video.first_ms >= _MIN_H264_PACKETS_MS
            if video.h264 is not None and old_enough and not video.h264.fragments:
                yield Fault("warning", "packetization_mode", {"mode": 0})

    def _begin_h264(self, video: VideoWatch) -> None:
        if video.h264 is None:
            return
        for _, codec in self._codecs:
            value = codec.fmtp.get("sprop-parameter-sets")
            if codec.name == "H264" and value:
                video.h264.learn_sprop(value)


def _active(watches: dict[Hashable, _Watch], since_ms: float) -> list[_Watch]:
    return [watch for watch in watches.values() if watch.last_ms >= since_ms]


def _keep(watches: dict[Hashable, _Watch], key: Hashable, watch: _Watch) -> None:
    watches[key] = watch
    if len(watches) > MAX_SOURCES:
        del watches[min(watches, key=lambda known: watches[known].last_ms)]
