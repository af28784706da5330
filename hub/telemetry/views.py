"""The JSON shapes that pages read: a stream, a session, a commune, totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hub.roster import Commune
from hub.state.quality import GRADE_WORDS_VI, Grade, Verdict, ViewerFigures
from hub.telemetry.sessions import SessionRecord
from relay.core.lint import Finding
from relay.node.snapshot import PublisherSnapshot, SourceSnapshot, StreamSnapshot

Json = dict[str, Any]


def stream_view(stream: StreamSnapshot, title_vi: str, title_en: str, uplink_loss: float) -> Json:
    """A stream as operator and studio see it. Rates in bit/s and frames/s, ages in ms."""
    return {
        "name": stream.name,
        "title": title_vi,
        "title_en": title_en,
        "state": stream.state,
        "publishers": [publisher_view(p) for p in stream.publishers],
        "publisher_changes": stream.publisher_changes,
        "uplink_loss_ratio": round(uplink_loss, 4),
        "viewers": sum(v.connected for v in stream.viewers),
        "communes_watching": len({v.commune for v in stream.viewers if v.connected}),
        "keyframes": {
            "asked": stream.keyframes_asked,
            "sent": stream.keyframes_sent,
            "suppressed": stream.keyframes_suppressed,
            "cache_served": stream.keyframes_cache_served,
        },
        "repairs": {"nacked": stream.nacked, "sent": stream.repairs_sent},
        "join_p95_ms": _rounded(stream.join_p95_ms, 1),
    }


def publisher_view(publisher: PublisherSnapshot) -> Json:
    """A publisher: its own figures and what it should change."""
    videos = [s for s in publisher.sources if s.kind == "video"]
    return {
        "id": publisher.id,
        "subject": publisher.subject,
        "on_air": publisher.on_air,
        "connected": publisher.connected,
        "bitrate_bps": _rate(sum(s.bitrate_bps for s in publisher.sources)),
        "fps": round(max(s.fps for s in videos), 1) if videos else None,
        "rtt_ms": _rounded(publisher.rtt_ms, 0),
        "keyframe_gap_ms": _gap_of(publisher.findings),
        "sources": [_source_view(s) for s in publisher.sources],
        "findings": [finding_view(f) for f in publisher.findings],
    }


def _source_view(source: SourceSnapshot) -> Json:
    return {
        "kind": source.kind,
        "codec": source.codec,
        "rid": source.rid,
        "width": source.width,
        "height": source.height,
        "layer_on_air": source.on_air,
        "bitrate_bps": _rate(source.bitrate_bps),
        "fps": round(source.fps, 1),
        "lost": source.lost,
        "jitter_ms": round(source.jitter_ms),
        "keyframes": source.keyframes,
    }


def finding_view(finding: Finding) -> Json:
    """One thing to change, in both languages."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "vi": finding.vi,
        "en": finding.en,
        "data": dict(finding.data),
    }


def session_view(
    record: SessionRecord, figures: ViewerFigures, verdict: Verdict, now_s: float
) -> Json:
    """One viewer. Browser's figures are None until its page has reported, and when it stops."""
    report = record.fresh_report(now_s)
    snapshot = record.snapshot
    return {
        "id": record.id,
        "stream": record.stream,
        "joined_at": round(record.joined_at),
        "user_agent": record.user_agent,
        "grade": verdict.grade.value,
        "grade_reason": verdict.reason_vi,
        "grade_reason_en": verdict.reason_en,
        "bitrate_bps": _rate(snapshot.bitrate_bps) if snapshot else None,
        "loss_ratio": round(figures.loss_ratio, 4),
        "jitter_ms": _rounded(figures.jitter_ms, 0),
        "rtt_ms": _rounded(figures.rtt_ms, 0),
        "video_state": snapshot.video_state if snapshot else None,
        "relay": snapshot.node if snapshot else "",
        "transport": snapshot.transport if snapshot else None,
        "layer": snapshot.layer if snapshot else None,
        "line_state": snapshot.line_state if snapshot else None,
        "line_reason": snapshot.line_reason if snapshot else None,
        "line_bps": _rate(snapshot.estimate_bps) if snapshot and snapshot.estimate_bps else None,
        "page_state": report.state if report else None,
        "page_line": report.line if report else None,
        "page_transport": report.transport if report else None,
        "page_available_bps": _rate_or_none(report.available_incoming_bitrate) if report else None,
        "concealed_ratio": _rounded(figures.concealed_ratio, 4) if report else None,
        "nack_ratio": _rounded(figures.nack_ratio, 4),
        "fps": _rounded(report.frames_per_second, 0) if report else None,
        "freeze_count": report.freeze_count if report else None,
        "freeze_seconds": round(report.total_freezes_duration, 1) if report else None,
        "width": report.frame_width if report else None,
        "height": report.frame_height if report else None,
    }


def commune_view(
    commune: Commune,
    verdict: Verdict,
    sessions: Sequence[Json],
    line_check: Json | None = None,
) -> Json:
    """One site with its screens. line_check: its last one."""
    return {
        "slug": commune.slug,
        "name": commune.name,
        "display_name": commune.display_name,
        "kind": commune.kind,
        "grade": verdict.grade.value,
        "grade_word": GRADE_WORDS_VI[verdict.grade],
        "grade_cause": verdict.cause,
        "grade_reason": verdict.reason_vi,
        "grade_reason_en": verdict.reason_en,
        "connected": bool(sessions),
        "line_check": line_check,
        "sessions": list(sessions),
    }


def totals_view(communes: Iterable[Json]) -> Json:
    """How many communes are in which grade."""
    rows = list(communes)
    counts = Counter(row["grade"] for row in rows)
    return {
        "connected": sum(row["connected"] for row in rows),
        **{grade.value: counts[grade.value] for grade in Grade},
    }


def _gap_of(findings: Iterable[Finding]) -> float | None:
    """The linter measures the distance of key frames when it is too long."""
    for finding in findings:
        gap = finding.data.get("gap_s")
        if isinstance(gap, int | float):
            return round(gap * 1000)
    return None


def _rate(bps: float) -> int:
    """Whole kilobits: what changes less is no change to a reader."""
    return round(bps / 1000) * 1000


def _rate_or_none(bps: float | None) -> int | None:
    return None if bps is None else _rate(bps)


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None:
        return None
    return round(value, digits) if digits else round(value)
