"""The checks of the ingest linter: from what was watched to what is wrong now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from relay.core.codecs.h264_sets import (
    CHROMA_420,
    PROFILE_BASELINE,
    PROFILE_HIGH,
    PROFILE_MAIN,
    Sps,
)
from relay.core.lint_audio import AudioWatch
from relay.core.lint_h264 import H264Watch
from relay.core.lint_limits import LintLimits
from relay.core.lint_video import VideoWatch

Severity = Literal["info", "warning", "error"]

_PLAYABLE_PROFILES = frozenset((PROFILE_BASELINE, PROFILE_MAIN, PROFILE_HIGH))
_CHROMA_NAMES = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
_FAR_OVER_BUDGET = 1.5
_RANK: Mapping[Severity, int] = {"info": 0, "warning": 1, "error": 2}


class Fault(NamedTuple):
    """Something wrong now. text: key in lint_texts.TEXTS, `code` or `code.variant`."""

    severity: Severity
    text: str
    data: Mapping[str, float | str]

    @property
    def code(self) -> str:
        """The stable name."""
        return self.text.partition(".")[0]


def worst_by_code(faults: Iterator[Fault]) -> dict[str, Fault]:
    """One fault a code, the gravest (of several layers); the first among equals."""
    kept: dict[str, Fault] = {}
    for fault in faults:
        known = kept.get(fault.code)
        if known is None or _RANK[fault.severity] > _RANK[known.severity]:
            kept[fault.code] = fault
    return kept


def check_videos(
    videos: Sequence[VideoWatch], limits: LintLimits, now_ms: float
) -> Iterator[Fault]:
    """Faults of the layers together and of each."""
    if not videos:
        return
    yield from _check_rates(videos, limits, now_ms)
    for video in videos:
        yield from _check_frames(video, limits, now_ms)
        yield from _check_malformed(video, limits, now_ms)
        if video.h264 is not None:
            yield from _check_h264(video.h264, limits, now_ms)


def _check_rates(
    videos: Sequence[VideoWatch], limits: LintLimits, now_ms: float
) -> Iterator[Fault]:
    rates = [8 * video.bytes.per_second(now_ms) for video in videos]
    rate_bps = sum(rates)
    if rate_bps > limits.video_budget_bps:
        over = rate_bps > _FAR_OVER_BUDGET * limits.video_budget_bps
        yield Fault(
            "error" if over else "warning",
            "bitrate_over_budget",
            {"bitrate_mbps": rate_bps / 1e6, "budget_mbps": limits.video_budget_bps / 1e6},
        )
    grown = [video for video in videos if now_ms - video.first_ms >= limits.window_ms]
    if not grown:
        return
    if max(rates) < limits.video_floor_bps:
        yield Fault("info", "bitrate_too_low", {"bitrate_kbps": max(rates) / 1e3})
    fps = max(video.frames.per_second(now_ms) for video in grown)
    if fps < limits.min_fps:
        yield Fault("warning", "frame_rate_low", {"fps": fps, "limit_fps": limits.min_fps})


def _check_frames(video: VideoWatch, limits: LintLimits, now_ms: float) -> Iterator[Fault]:
    gap_ms = video.gap_ms(now_ms)
    slack_ms = limits.keyframe_gap_slack_ms
    if gap_ms > limits.keyframe_gap_warning_ms + slack_ms:
        data = {"gap_s": gap_ms / 1000, "limit_s": limits.keyframe_gap_warning_ms / 1000}
        if video.answers(now_ms):
            yield Fault("info", "keyframe_gap.on_request", data)
        else:
            bad = gap_ms > limits.keyframe_gap_error_ms + slack_ms
            yield Fault("error" if bad else "warning", "keyframe_gap", data)
    old, new = video.previous_size, video.size
    if old and new and now_ms - video.size_changed_ms < limits.resolution_note_ms:
        yield Fault(
            "info",
            "resolution_change",
            {
                "from_size": f"{old[0]}×{old[1]}",
                "to_size": f"{new[0]}×{new[1]}",
                "width": new[0],
                "height": new[1],
            },
        )
    has_b = video.h264 is not None and video.h264.b_share(now_ms) > 0
    if not has_b and video.goes_backward(limits.backward_share, now_ms):
        share = video.backward.total(now_ms) / video.frames.total(now_ms)
        yield Fault("error", "b_frames.order", {"share_percent": 100 * share})


def _check_h264(h264: H264Watch, limits: LintLimits, now_ms: float) -> Iterator[Fault]:
    share = h264.b_share(now_ms)
    if share:
        yield Fault("error", "b_frames", {"share_percent": 100 * share})
    if h264.sps is not None:
        yield from _check_profile(h264.sps)
    if h264.repaired(now_ms):
        yield Fault("info", "missing_parameter_sets.repaired", {})
    elif h264.lacks_sets(now_ms):
        severity: Severity = "warning" if h264.knows_sets else "error"
        yield Fault(severity, "missing_parameter_sets", {})


def _check_profile(sps: Sps) -> Iterator[Fault]:
    name = sps.profile_name
    data: dict[str, float | str] = {"profile": name, "level": sps.level_idc / 10}
    colour = sps.chroma_format != CHROMA_420 or sps.bit_depth > 8
    if colour:
        data["profile"] = f"{name} ({_CHROMA_NAMES[sps.chroma_format]}, {sps.bit_depth} bit)"
    if colour or sps.profile_idc not in _PLAYABLE_PROFILES:
        yield Fault("error", "h264_profile", data)
    elif sps.profile_idc != PROFILE_BASELINE:
        yield Fault("info", "h264_profile.old", data)
    if not sps.progressive:
        yield Fault("warning", "h264_interlaced", {})


def check_audio(audio: AudioWatch, limits: LintLimits, now_ms: float) -> Iterator[Fault]:
    """Faults of the sound while it arrives."""
    yield from _check_malformed(audio, limits, now_ms)
    quiet_ms = audio.quiet_for_ms(now_ms)
    if quiet_ms >= limits.quiet_ms:
        if audio.has_levels(now_ms) and audio.level is not None:
            data: dict[str, float | str] = {"quiet_s": quiet_ms / 1000}
            data["level_dbov"] = float(-audio.level)
            yield Fault("warning", "silent_audio", data)
        else:
            yield Fault("info", "silent_audio.by_size", {"quiet_s": quiet_ms / 1000})
    share = audio.clipped_share(now_ms)
    if share >= limits.clipping_share:
        yield Fault("warning", "clipping_audio", {"share_percent": 100 * share})


def _check_malformed(
    watch: VideoWatch | AudioWatch, limits: LintLimits, now_ms: float
) -> Iterator[Fault]:
    packets = watch.malformed.total(now_ms)
    if packets >= limits.malformed_packets:
        yield Fault(
            "error",
            "malformed_payload",
            {
                "packets": packets,
                "codec": watch.codec_name,
                "window_s": limits.window_ms / 1000,
            },
        )
