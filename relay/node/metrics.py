"""Prometheus metrics of a media node, read from its state at each scrape: nothing on the hot path.

Names are a contract: docs/metrics.md lists them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from relay.node.join_times import BUCKETS_MS
from relay.node.snapshot import SourceSnapshot, StreamSnapshot, ViewerSnapshot

if TYPE_CHECKING:
    from relay.node.media_node import MediaNode


class MediaNodeCollector(Collector):
    """Metrics of one node."""

    def __init__(self, node: MediaNode) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """All families."""
        snapshot = self._node.snapshot()
        yield from _stream_gauges(snapshot.streams)
        yield from _ingest(snapshot.streams)
        yield from _layers(snapshot.streams)
        yield from _lines(snapshot.streams)
        yield from _keyframes(snapshot.streams)
        yield from _communes(snapshot.streams)
        yield from self._join_times()
        yield from self._port()
        yield from self._process(snapshot.lag_median_ms, snapshot.lag_worst_ms)

    def _join_times(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "wardcast_join_seconds",
            "From a viewer's POST to its first media sent",
            labels=["stream"],
        )
        for stream in self._node.streams.values():
            times = stream.join_ms
            total = 0
            buckets: list[tuple[str, float]] = []
            bounds = [f"{bound / 1000:g}" for bound in BUCKETS_MS] + ["+Inf"]
            for bound, count in zip(bounds, times.counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric([stream.name], buckets, times.total_ms / 1000)
        yield family

    def _port(self) -> Iterator[Metric]:
        counters = self._node.port.counters
        packets = CounterMetricFamily(
            "wardcast_packets", "Datagrams and TCP frames by direction", labels=["direction"]
        )
        octets = CounterMetricFamily(
            "wardcast_bytes", "Payload bytes of UDP and TCP frames", labels=["direction"]
        )
        packets.add_metric(["in"], counters.packets_in)
        packets.add_metric(["out"], counters.packets_out)
        octets.add_metric(["in"], counters.bytes_in)
        octets.add_metric(["out"], counters.bytes_out)
        yield packets
        yield octets
        drops = CounterMetricFamily(
            "wardcast_drops", "Packets dropped, by reason", labels=["reason"]
        )
        for reason, count in sorted(self._drops().items()):
            drops.add_metric([reason], count)
        yield drops
        connections = GaugeMetricFamily(
            "wardcast_tcp_connections", "ICE-TCP connections that are open", labels=["state"]
        )
        connections.add_metric(["named"], self._node.port.streams.named)
        connections.add_metric(["unnamed"], self._node.port.streams.unnamed)
        yield connections
        batches = HistogramMetricFamily(
            "wardcast_send_batch_packets", "Packets in one send batch", labels=[]
        )
        batches.add_metric([], *counters.batch_histogram())
        yield batches

    def _drops(self) -> Counter[str]:
        drops: Counter[str] = Counter()
        drops.update({str(k): v for k, v in self._node.port.counters.drops.items()})
        for stream in self._node.streams.values():
            drops.update({str(k): v for k, v in stream.router.all_drops().items()})
            drops.update({str(k): v for k, v in stream.ingest_drops().items()})
        return drops

    def _process(self, median_ms: float, worst_ms: float) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "wardcast_event_loop_lag_seconds",
            "How late timers fire, over the last minute",
            labels=["quantile"],
        )
        lag.add_metric(["0.5"], median_ms / 1000)
        lag.add_metric(["1"], worst_ms / 1000)
        yield lag
        refusals = CounterMetricFamily(
            "wardcast_refusals", "WHIP and WHEP requests refused, by reason", labels=["reason"]
        )
        for reason, count in sorted(self._node.refusals.items()):
            refusals.add_metric([reason], count)
        yield refusals


def _stream_gauges(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    on_air = GaugeMetricFamily("wardcast_on_air", "1 while packets flow", labels=["stream"])
    publishers = GaugeMetricFamily("wardcast_publishers", "Publisher sessions", labels=["stream"])
    viewers = GaugeMetricFamily("wardcast_viewers", "Viewers connected", labels=["stream"])
    changes = CounterMetricFamily(
        "wardcast_publisher_changes", "Times a publisher went on air", labels=["stream"]
    )
    nacked = CounterMetricFamily(
        "wardcast_nacked_packets", "Packets that viewers asked for again", labels=["stream"]
    )
    repairs = CounterMetricFamily(
        "wardcast_rtx_packets", "Repairs sent to viewers", labels=["stream"]
    )
    for stream in streams:
        nacked.add_metric([stream.name], stream.nacked)
        repairs.add_metric([stream.name], stream.repairs_sent)
        on_air.add_metric([stream.name], 1.0 if stream.state == "on_air" else 0.0)
        publishers.add_metric([stream.name], len(stream.publishers))
        viewers.add_metric([stream.name], sum(v.connected for v in stream.viewers))
        changes.add_metric([stream.name], stream.publisher_changes)
    yield from (on_air, publishers, viewers, changes, nacked, repairs)


def _ingest(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    """Of the richest layer of each kind; all layers have `wardcast_layer_*`."""
    labels = ["stream", "kind"]
    bitrate = GaugeMetricFamily("wardcast_ingest_bitrate_bps", "From the publisher", labels=labels)
    fps = GaugeMetricFamily("wardcast_ingest_fps", "Frames a second", labels=labels)
    jitter = GaugeMetricFamily("wardcast_ingest_jitter_seconds", "RFC 3550 jitter", labels=labels)
    lost = GaugeMetricFamily("wardcast_ingest_lost_packets", "Lost on the uplink", labels=labels)
    nacks = GaugeMetricFamily("wardcast_ingest_nacks_sent", "Asked of the publisher", labels=labels)
    for stream in streams:
        for publisher in stream.publishers:
            if not publisher.on_air:
                continue
            for source in _richest(publisher.sources):
                key = [stream.name, source.kind]
                bitrate.add_metric(key, source.bitrate_bps)
                fps.add_metric(key, source.fps)
                jitter.add_metric(key, source.jitter_ms / 1000)
                lost.add_metric(key, source.lost)
                nacks.add_metric(key, source.nacks_sent)
    yield from (bitrate, fps, jitter, lost, nacks)


def _richest(sources: Iterable[SourceSnapshot]) -> Iterable[SourceSnapshot]:
    """One a kind: the layer on the air with the largest picture, then the highest rate."""
    best: dict[str, SourceSnapshot] = {}
    for source in sources:
        known = best.get(source.kind)
        if known is None or _richness(source) > _richness(known):
            best[source.kind] = source
    return best.values()


def _richness(source: SourceSnapshot) -> tuple[bool, int, float]:
    return source.on_air, source.height or 0, source.bitrate_bps


def _layers(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    labels = ["stream", "rid"]
    bitrate = GaugeMetricFamily("wardcast_layer_bitrate_bps", "Of a simulcast layer", labels=labels)
    height = GaugeMetricFamily("wardcast_layer_height", "Lines of its picture", labels=labels)
    for stream in streams:
        for publisher in stream.publishers:
            for source in publisher.sources if publisher.on_air else ():
                if source.kind == "video" and source.on_air:
                    key = [stream.name, source.rid or ""]
                    bitrate.add_metric(key, source.bitrate_bps)
                    height.add_metric(key, source.height or 0)
    yield from (bitrate, height)


def _lines(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "wardcast_commune_line",
        "Viewers, by what their line lets through",
        labels=["commune", "state"],
    )
    estimate = GaugeMetricFamily(
        "wardcast_commune_line_bps", "Worst viewer's line, where bounded", labels=["commune"]
    )
    counts: Counter[tuple[str, str]] = Counter()
    worst: dict[str, float] = {}
    for stream in streams:
        for viewer in stream.viewers:
            if viewer.scope == "relay":
                continue
            counts[viewer.commune, viewer.line_state] += 1
            if viewer.estimate_bps is not None:
                before = worst.get(viewer.commune, viewer.estimate_bps)
                worst[viewer.commune] = min(before, viewer.estimate_bps)
    for (commune, name), count in sorted(counts.items()):
        state.add_metric([commune, name], count)
    for commune, bps in sorted(worst.items()):
        estimate.add_metric([commune], bps)
    yield from (state, estimate)


def _keyframes(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "wardcast_keyframe_requests",
        "Viewers' key-frame requests: asked, sent upstream, suppressed, served from the cache",
        labels=["stream", "outcome"],
    )
    for stream in streams:
        family.add_metric([stream.name, "asked"], stream.keyframes_asked)
        family.add_metric([stream.name, "sent"], stream.keyframes_sent)
        family.add_metric([stream.name, "suppressed"], stream.keyframes_suppressed)
        family.add_metric([stream.name, "cache_served"], stream.keyframes_cache_served)
    yield family


def _communes(streams: Iterable[StreamSnapshot]) -> Iterator[Metric]:
    by_commune: dict[str, list[ViewerSnapshot]] = defaultdict(list)
    for stream in streams:
        for viewer in stream.viewers:
            by_commune[viewer.commune].append(viewer)
    labels = ["commune"]
    viewers = GaugeMetricFamily("wardcast_commune_viewers", "Viewers connected", labels=labels)
    bitrate = GaugeMetricFamily("wardcast_commune_bitrate_bps", "Sent, summed", labels=labels)
    loss = GaugeMetricFamily("wardcast_commune_loss_ratio", "Worst viewer, 0 to 1", labels=labels)
    jitter = GaugeMetricFamily("wardcast_commune_jitter_seconds", "Worst viewer", labels=labels)
    rtt = GaugeMetricFamily("wardcast_commune_rtt_seconds", "Worst viewer", labels=labels)
    nacks = GaugeMetricFamily("wardcast_commune_nacks", "Packets asked again", labels=labels)
    repairs = GaugeMetricFamily("wardcast_commune_rtx", "Repairs sent", labels=labels)
    plis = GaugeMetricFamily("wardcast_commune_plis", "Picture losses reported", labels=labels)
    for slug, group in sorted(by_commune.items()):
        key = [slug]
        viewers.add_metric(key, sum(v.connected for v in group))
        bitrate.add_metric(key, sum(v.bitrate_bps for v in group))
        loss.add_metric(key, max(max(v.video_loss_ratio, v.audio_loss_ratio) for v in group))
        jitter.add_metric(key, max(v.jitter_ms for v in group) / 1000)
        rtt.add_metric(key, max(v.rtt_ms or 0.0 for v in group) / 1000)
        nacks.add_metric(key, sum(v.nacks for v in group))
        repairs.add_metric(key, sum(v.repairs_sent for v in group))
        plis.add_metric(key, sum(v.plis for v in group))
    yield from (viewers, bitrate, loss, jitter, rtt, nacks, repairs, plis)
