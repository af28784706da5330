"""What can be seen of a media node at one moment: plain values for pages, metrics and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.core.lanes import LaneState
from relay.core.line.line_state import LineState, LineStatus
from relay.core.lint import Finding
from relay.core.negotiation import Kind
from relay.core.source import Source
from relay.core.viewer import TrackReport

if TYPE_CHECKING:
    from relay.node.feed import Feed
    from relay.node.media_node import MediaNode
    from relay.node.stream import Stream
    from relay.node.viewer import ViewerSession


@dataclass(frozen=True)
class ViewerSnapshot:
    """One viewer. *_ms: milliseconds; loss_ratio 0 … 1 as the viewer last reported it."""

    id: str
    stream: str
    commune: str
    connected: bool
    age_ms: float
    bitrate_bps: float
    packets_sent: int
    bytes_sent: int
    video_state: str
    video_loss_ratio: float
    audio_loss_ratio: float
    packets_lost: int
    jitter_ms: float
    rtt_ms: float | None
    remb_bps: float | None
    nacks: int
    plis: int
    repairs_sent: int
    srtp_profile: str | None
    scope: str = "view"
    """`relay` for a relay's pull."""
    node: str = ""
    """Id of the node that serves it, filled in where nodes are put together."""
    transport: str = "udp"
    """What its media goes over: `udp` or `tcp`."""
    line_state: str = "full"
    """`full`, `reduced` or `audio-only` (docs/bad-networks.md)."""
    line_reason: str = "publisher"
    layer: str | None = None
    """rid of the layer that it gets."""
    width: int | None = None
    height: int | None = None
    layer_fps: float | None = None
    """Frames a second of what it is sent; 0 for sound alone, None where unknown."""
    estimate_bps: float | None = None
    """What its line was seen to carry; None while nothing bounds it."""
    line_loss_ratio: float = 0.0
    queue_ms: float = 0.0
    """What waits on its line."""


@dataclass(frozen=True)
class UpstreamSnapshot:
    """Where a relay has a stream from. state: connecting, live, silent (the publisher says nothing)
    or lost. failovers: times that another upstream was taken. lineage: node ids, origin first."""

    url: str
    state: str
    age_ms: float
    rtt_ms: float | None
    failovers: int
    lineage: tuple[str, ...]


@dataclass(frozen=True)
class SourceSnapshot:
    """One incoming RTP stream of a publisher."""

    kind: Kind
    codec: str
    rid: str | None
    ssrc: int
    bitrate_bps: float
    fps: float
    packets: int
    lost: int
    jitter_ms: float
    keyframes: int
    nacks_sent: int
    keyframe_age_ms: float | None
    width: int | None = None
    height: int | None = None
    on_air: bool = True
    """One of the layers that viewers get now."""


@dataclass(frozen=True)
class PublisherSnapshot:
    """One publisher. silent_ms: since its last packet. pulled: it is an upstream."""

    id: str
    subject: str
    on_air: bool
    connected: bool
    age_ms: float
    silent_ms: float
    rtt_ms: float | None
    sources: tuple[SourceSnapshot, ...]
    findings: tuple[Finding, ...]
    pulled: bool = False


@dataclass(frozen=True)
class StreamSnapshot:
    """One stream."""

    name: str
    state: str
    state_age_ms: float | None
    publishers: tuple[PublisherSnapshot, ...]
    viewers: tuple[ViewerSnapshot, ...]
    publisher_changes: int
    nacked: int
    repairs_sent: int
    keyframes_asked: int
    keyframes_sent: int
    keyframes_suppressed: int
    keyframes_cache_served: int
    join_p95_ms: float | None
    upstream: UpstreamSnapshot | None = None


@dataclass(frozen=True)
class NodeSnapshot:
    """The node. lag: of the event loop over the last minute."""

    streams: tuple[StreamSnapshot, ...]
    lag_median_ms: float
    lag_worst_ms: float
    media_port: int
    id: str = ""
    packets_received: int = 0
    packets_sent: int = 0
    bytes_sent: int = 0


def snapshot_of(node: MediaNode) -> NodeSnapshot:
    """Look at a node."""
    now_ms = node.port.now_ms()
    median, worst = node.lag.recent()
    counters = node.port.counters
    return NodeSnapshot(
        streams=tuple(_stream(s, node.upstream_of(s.name), now_ms) for s in node.streams.values()),
        lag_median_ms=median,
        lag_worst_ms=worst,
        media_port=node.port.port,
        id=node.config.id,
        packets_received=counters.packets_in
        + sum(pull.packets_received for pull in node.pulls.values()),
        packets_sent=counters.packets_out,
        bytes_sent=counters.bytes_out,
    )


def _stream(stream: Stream, upstream: UpstreamSnapshot | None, now_ms: float) -> StreamSnapshot:
    counters = stream.router.tracks["video"].keyframe_counters
    since_ms = stream.on_air.since_ms
    return StreamSnapshot(
        name=stream.name,
        state=stream.on_air.state.value,
        state_age_ms=None if since_ms is None else now_ms - since_ms,
        publishers=tuple(_publisher(stream, p, now_ms) for p in stream.feeds()),
        viewers=tuple(_viewer(stream, v, now_ms) for v in stream.viewers.values()),
        publisher_changes=stream.publisher_changes,
        nacked=stream.router.nacked,
        repairs_sent=stream.router.repairs_sent,
        keyframes_asked=counters.asked,
        keyframes_sent=counters.sent,
        keyframes_suppressed=counters.suppressed,
        keyframes_cache_served=counters.cache_served,
        join_p95_ms=stream.join_ms.recent_p95_ms(),
        upstream=upstream,
    )


def _publisher(stream: Stream, publisher: Feed, now_ms: float) -> PublisherSnapshot:
    sources = []
    layers = [layer for track in stream.router.tracks.values() for layer in track.layers]
    for ingest in publisher.ingest.sources:
        source = publisher.sources.get(ingest)
        stats = ingest.stats
        sources.append(
            SourceSnapshot(
                kind=ingest.kind,
                codec=ingest.codec.name,
                rid=ingest.rid,
                ssrc=ingest.ssrc,
                bitrate_bps=stats.bitrate_bps,
                fps=stats.fps,
                packets=stats.packets,
                lost=stats.lost,
                jitter_ms=stats.jitter_ms,
                keyframes=stats.keyframes,
                nacks_sent=stats.nacks_sent,
                keyframe_age_ms=_keyframe_age(source, now_ms),
                width=source.size[0] if source is not None and source.size else None,
                height=source.size[1] if source is not None and source.size else None,
                on_air=source in layers,
            )
        )
    return PublisherSnapshot(
        id=publisher.id,
        subject=publisher.subject,
        on_air=publisher is stream.publisher,
        connected=publisher.connected_ms is not None,
        age_ms=now_ms - publisher.created_ms,
        silent_ms=now_ms - max(publisher.ingest.last_packet_ms, publisher.created_ms),
        rtt_ms=publisher.ingest.rtt_ms,
        sources=tuple(sources),
        findings=tuple(publisher.findings),
        pulled=publisher.pulled,
    )


def _keyframe_age(source: Source | None, now_ms: float) -> float | None:
    keyframe = source.history.keyframe if source is not None and source.kind == "video" else None
    return None if keyframe is None else now_ms - keyframe.arrival_ms


def _viewer(stream: Stream, viewer: ViewerSession, now_ms: float) -> ViewerSnapshot:
    lanes = viewer.lanes
    reports = lanes.report.tracks if lanes else {}
    video, audio = reports.get("video", TrackReport()), reports.get("audio", TrackReport())
    video_lane = lanes.lanes.get("video") if lanes else None
    tracks = stream.router.tracks
    state = tracks["video"].state_of(video_lane) if video_lane else LaneState.IDLE
    repairs = sum(
        tracks[kind].repairs_of(lane).counters.sent
        for kind, lane in (lanes.all_lanes() if lanes else ())
    )
    line = stream.router.lines.line_of(viewer.id)
    status = line.status if line is not None else LineStatus()
    return ViewerSnapshot(
        id=viewer.id,
        stream=viewer.stream,
        commune=viewer.commune,
        connected=viewer.connected_ms is not None,
        age_ms=now_ms - viewer.created_ms,
        bitrate_bps=viewer.bitrate_bps,
        packets_sent=viewer.packets_sent,
        bytes_sent=viewer.bytes_sent,
        video_state=state.name.lower(),
        video_loss_ratio=video.loss_ratio,
        audio_loss_ratio=audio.loss_ratio,
        packets_lost=video.packets_lost + audio.packets_lost,
        jitter_ms=max(video.jitter_ms, audio.jitter_ms),
        rtt_ms=lanes.report.rtt_ms if lanes else None,
        remb_bps=lanes.report.remb_bps if lanes else None,
        nacks=lanes.report.nacks if lanes else 0,
        plis=lanes.report.plis if lanes else 0,
        repairs_sent=repairs,
        srtp_profile=viewer.peer.srtp_profile,
        scope=viewer.grant.scope,
        transport=viewer.peer.transport,
        line_state=status.state.value,
        line_reason=status.reason.value,
        layer=status.rid,
        width=status.width,
        height=status.height,
        layer_fps=_layer_fps(stream, status),
        estimate_bps=status.estimate_bps,
        line_loss_ratio=line.estimate.loss_ratio if line is not None and line.watching else 0.0,
        queue_ms=line.estimate.delay_ms if line is not None and line.watching else 0.0,
    )


def _layer_fps(stream: Stream, status: LineStatus) -> float | None:
    if status.state is LineState.AUDIO_ONLY:
        return 0.0
    feed = stream.publisher
    sources = () if feed is None else feed.sources.items()
    return next(
        (i.stats.fps for i, s in sources if s.kind == "video" and s.rid == status.rid), None
    )
