"""What the hub knows beyond its media node, for Prometheus: grades and the halls' own figures.

Names are a contract: docs/metrics.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.state.quality import Grade
from hub.telemetry.telemetry import Telemetry

Sessions = list[dict[str, Any]]


class HubCollector(Collector):
    """Metrics of one hub, read from the board at each scrape."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        """All families."""
        overview = self._telemetry.overview()
        yield from _grades(overview)
        yield from _halls(overview["communes"])
        yield from _relays(overview["relays"])
        uplink = GaugeMetricFamily(
            "wardcast_uplink_loss_ratio",
            "Loss on the broadcasting ward's uplink over 10 s, 0 to 1",
            labels=["stream"],
        )
        for stream in overview["streams"]:
            uplink.add_metric([stream["name"]], stream["uplink_loss_ratio"])
        yield uplink
        yield from self._bookkeeping()

    def _bookkeeping(self) -> Iterator[Metric]:
        reports = CounterMetricFamily(
            "wardcast_browser_reports", "Reports of viewers' pages, by result", labels=["result"]
        )
        for result in ("taken", "unknown_session"):
            reports.add_metric([result], self._telemetry.reports[result])
        yield reports
        log = self._telemetry.attendance
        yield GaugeMetricFamily(
            "wardcast_attendance_pending_lines",
            "Lines of the attendance log that are not on the disk",
            value=log.pending,
        )
        yield CounterMetricFamily(
            "wardcast_attendance_lost_lines",
            "Lines given up because the disk failed for too long",
            value=log.lost_lines,
        )


RELAY_FIGURES: tuple[tuple[str, str, str, float], ...] = (
    ("wardcast_relay_viewers", "Viewers of communes", "viewers", 1),
    ("wardcast_relay_capacity", "Viewers that it can carry", "capacity", 1),
    ("wardcast_relay_load_ratio", "Viewers by capacity", "load", 1),
    ("wardcast_relay_cpu_ratio", "Share of one core", "cpu", 1),
    ("wardcast_relay_event_loop_lag_seconds", "Worst of the last minute", "lag_ms", 0.001),
    ("wardcast_relay_packets_in_per_second", "Datagrams received", "packets_in_per_s", 1),
    ("wardcast_relay_packets_out_per_second", "Datagrams sent", "packets_out_per_s", 1),
    ("wardcast_relay_bitrate_bps", "UDP payload sent", "bitrate_bps", 1),
)
"""Name, help, key of the row, factor to the unit of the name."""


def _relays(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ["relay", "role"]
    up = GaugeMetricFamily("wardcast_relay_up", "1 while it serves", labels=labels)
    draining = GaugeMetricFamily("wardcast_relay_draining", "1 while it empties", labels=labels)
    live = GaugeMetricFamily("wardcast_relay_upstream_live", "1 while it has media", labels=labels)
    failovers = CounterMetricFamily(
        "wardcast_relay_failovers", "Times it took another upstream", labels=labels
    )
    for row in rows:
        key = [row["id"], row["role"]]
        up.add_metric(key, 1.0 if row["state"] in ("ready", "draining") else 0.0)
        draining.add_metric(key, float(row["draining"]))
        live.add_metric(key, 1.0 if row["upstream"] == "live" else 0.0)
        failovers.add_metric(key, row["failovers"])
    yield from (up, draining, live, failovers)
    for name, text, figure, factor in RELAY_FIGURES:
        family = GaugeMetricFamily(name, text, labels=labels)
        for row in rows:
            if row[figure] is not None:
                family.add_metric([row["id"], row["role"]], row[figure] * factor)
        yield family


def _grades(overview: dict[str, Any]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "wardcast_commune_grade",
        "1 for the grade that a commune has",
        labels=["commune", "grade"],
    )
    for commune in overview["communes"]:
        for grade in Grade:
            holds = 1.0 if commune["grade"] == grade.value else 0.0
            family.add_metric([commune["slug"], grade.value], holds)
    yield family
    totals = GaugeMetricFamily("wardcast_communes", "Communes in each grade", labels=["grade"])
    for grade in Grade:
        totals.add_metric([grade.value], overview["totals"][grade.value])
    yield totals


def _halls(communes: list[dict[str, Any]]) -> Iterator[Metric]:
    figures: list[tuple[str, str, str, Callable[[list[float]], float]]] = [
        ("wardcast_commune_fps", "Frames a second of the worst screen", "fps", min),
        ("wardcast_commune_freezes", "Freezes of the worst screen's session", "freeze_count", max),
        (
            "wardcast_commune_freeze_seconds",
            "Seconds frozen in the worst screen's session",
            "freeze_seconds",
            max,
        ),
    ]
    for name, text, key, worst in figures:
        family = GaugeMetricFamily(name, text, labels=["commune"])
        for commune in communes:
            values = [s[key] for s in commune["sessions"] if s[key] is not None]
            if values:
                family.add_metric([commune["slug"]], worst(values))
        yield family
