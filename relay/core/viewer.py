"""A viewer as the forwarding core knows it: its lanes, what its receiver reports say."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from relay.core.lanes import Lane
from relay.core.negotiation import Kind, ViewerNegotiation
from relay.core.rtcp import ReportBlock, middle_ntp
from relay.core.track import Track

REPORTS_REMEMBERED = 8


@dataclass(slots=True)
class TrackReport:
    """What a viewer last said of one track. loss_ratio: 0 … 1 since its report before."""

    loss_ratio: float = 0.0
    packets_lost: int = 0
    jitter_ms: float = 0.0
    received_ms: float | None = None


@dataclass(slots=True)
class ViewerReport:
    """What a viewer's RTCP has told. remb_bps: its estimate of its line, if it sends one."""

    tracks: dict[Kind, TrackReport] = field(default_factory=dict)
    rtt_ms: float | None = None
    remb_bps: float | None = None
    nacks: int = 0
    plis: int = 0


class Viewer:
    """Lanes and reports of one viewer. lanes: by kind; empty sections have none. more_lanes: of
    poorer layers, for a relay, which takes all of them."""

    def __init__(self, viewer_id: str, peer_index: int, negotiation: ViewerNegotiation) -> None:
        self.id = viewer_id
        self.peer_index = peer_index
        self.negotiation = negotiation
        self.lanes: dict[Kind, Lane] = {}
        self.more_lanes: list[Lane] = []
        self.report = ViewerReport()
        self.started_ms: float | None = None
        self.next_report_ms = float("inf")
        self._sent_reports: deque[tuple[int, float]] = deque(maxlen=REPORTS_REMEMBERED)

    def kind_of(self, ssrc: int) -> Kind | None:
        """Which of its tracks has this SSRC (or repair SSRC)."""
        found = self.lane_of(ssrc)
        return None if found is None else found[0]

    def lane_of(self, ssrc: int) -> tuple[Kind, Lane] | None:
        """The lane with this SSRC (or repair SSRC)."""
        for kind, lane in self.all_lanes():
            if ssrc in (lane.ssrc, lane.rtx_ssrc):
                return kind, lane
        return None

    def all_lanes(self) -> Iterator[tuple[Kind, Lane]]:
        """Every lane with its kind."""
        yield from self.lanes.items()
        for lane in self.more_lanes:
            yield "video", lane

    def note_sent_report(self, ntp_timestamp: int, now_ms: float) -> None:
        """Remember when a sender report left, to read the round trip off its echo."""
        self._sent_reports.append((middle_ntp(ntp_timestamp), now_ms))

    def on_report_blocks(
        self, blocks: Iterable[ReportBlock], tracks: dict[Kind, Track], now_ms: float
    ) -> None:
        """Take the report blocks about our SSRCs (RFC 3550 section 6.4)."""
        for block in blocks:
            kind = self.kind_of(block.ssrc)
            lane = self.lanes.get(kind) if kind else None
            if kind is None or lane is None or block.ssrc != lane.ssrc:
                continue
            source = tracks[kind].source
            clock_rate = source.clock_rate if source else 90_000
            self.report.tracks[kind] = TrackReport(
                loss_ratio=block.fraction_lost / 256,
                packets_lost=block.packets_lost,
                jitter_ms=block.jitter * 1000 / clock_rate,
                received_ms=now_ms,
            )
            self._measure_rtt(block, now_ms)

    def _measure_rtt(self, block: ReportBlock, now_ms: float) -> None:
        for middle, sent_ms in self._sent_reports:
            if middle == block.last_sr:
                rtt_ms = now_ms - sent_ms - block.delay_since_last_sr / 65.536
                if rtt_ms >= -5:
                    self.report.rtt_ms = max(0.0, rtt_ms)
                return
