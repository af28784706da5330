"""Adds up what a viewer lived through, over all its sessions (sans-I/O)."""

from __future__ import annotations

from relay.client.header_stats import HeaderStats
from relay.client.liveness import SILENCE_MS
from relay.client.reception import ViewerReception
from relay.client.viewer_figures import FROZEN_MS, Recovery, ViewerFigures, Visit

MIN_INTERVAL_S = 0.3
"""Rates over less than this say nothing; the last ones stay."""


class WatchTally:
    """began_ms: the zero of `at_s`. Times are monotonic ms."""

    def __init__(self, name: str, began_ms: float) -> None:
        self.figures = ViewerFigures(name)
        self.began_ms = began_ms
        self._settled = ViewerFigures(name)
        self._asked_ms = began_ms
        self._last_media_ms: float | None = None
        self._outage: tuple[str, float, float] | None = None
        self._move: list[float] | None = None
        """[begun at, longest pause so far] ms."""
        self._rates = (0.0, 0, 0)

    def asks(self, now_ms: float) -> None:
        """A POST goes out: the beginning of `join_ms`."""
        self._asked_ms = now_ms

    def arrived(self, origin: str, now_ms: float) -> None:
        """A session is up."""
        figures = self.figures
        figures.state = "live"
        figures.error = None
        figures.sessions += 1
        figures.arrived(Visit(self._at_s(now_ms), origin))

    def on_arrival(self, now_ms: float) -> None:
        """Media has come over any session: joins, gaps and recoveries are measured here."""
        figures = self.figures
        last_ms, self._last_media_ms = self._last_media_ms, now_ms
        if last_ms is None:
            figures.join_ms = round(now_ms - self._asked_ms, 1)
            return
        gap = now_ms - last_ms
        if gap > figures.longest_gap_ms:
            figures.longest_gap_ms = round(gap, 1)
        if gap > SILENCE_MS:
            figures.gaps += 1
        if self._move is not None and gap > self._move[1]:
            self._move[1] = gap
        if self._outage is not None:
            reason, at_ms, media_ms = self._outage
            self._outage = None
            took_ms = round(now_ms - media_ms, 1)
            figures.recovered(Recovery(self._at_s(at_ms), reason, took_ms))

    def lost(self, reason: str, now_ms: float) -> None:
        """A session is given up; its reason stands until media comes again."""
        if self._outage is None and self._last_media_ms is not None:
            self._outage = (reason, now_ms, self._last_media_ms)

    def begin_move(self, now_ms: float) -> None:
        """Told to go elsewhere."""
        self._move = [now_ms, 0.0]

    def end_move(self, reason: str, now_ms: float) -> None:
        """The new session shows its picture and the old one is let go."""
        if self._move is not None:
            begun_ms, pause_ms = self._move
            self.figures.moved(Recovery(self._at_s(begun_ms), reason, round(pause_ms, 1)))
        self._move = None

    def fail_move(self) -> None:
        """No other session came up."""
        self.figures.failed_moves += 1
        self._move = None

    def settle(self, reception: ViewerReception | None) -> None:
        """A session's figures are final."""
        self._sum_up(self.figures, reception)
        self._sum_up(self._settled, reception)

    def measure(
        self, reception: ViewerReception | None, rtt_ms: float | None, now_ms: float
    ) -> ViewerFigures:
        """Figures up to now; rates are of the last interval between calls."""
        figures = self.figures
        self._sum_up(figures, reception)
        at, octets, frames = self._rates
        elapsed_s = (now_ms - at) / 1000
        if elapsed_s >= MIN_INTERVAL_S:
            if at:
                figures.bitrate_bps = round((figures.bytes - octets) * 8 / elapsed_s)
                figures.fps = round((figures.frames - frames) / elapsed_s, 1)
            self._rates = (now_ms, figures.bytes, figures.frames)
        video = _shown(reception)
        figures.frozen = video is None or now_ms - video.last_frame_ms > FROZEN_MS
        if video is not None:
            figures.jitter_ms = round(video.jitter_ms, 2)
        if rtt_ms is not None:
            figures.rtt_ms = round(rtt_ms, 1)
        return figures

    def _sum_up(self, into: ViewerFigures, reception: ViewerReception | None) -> None:
        """What former sessions settled, plus this one."""
        settled = self._settled
        streams = [] if reception is None else reception.all_stats()
        video = _shown(reception)
        into.bytes = settled.bytes + (0 if reception is None else reception.wire_bytes)
        into.packets = settled.packets + sum(s.received for s in streams)
        into.lost = settled.lost + sum(s.lost for s in streams)
        into.expected = settled.expected + sum(s.expected for s in streams)
        into.repaired = settled.repaired + sum(s.repaired for s in streams)
        into.out_of_order = settled.out_of_order + sum(s.out_of_order for s in streams)
        into.duplicates = settled.duplicates + sum(s.duplicates for s in streams)
        into.frames = settled.frames + (video.frames if video else 0)

    def _at_s(self, now_ms: float) -> float:
        return round((now_ms - self.began_ms) / 1000, 3)


def _shown(reception: ViewerReception | None) -> HeaderStats | None:
    """The picture, or the voice if there is none."""
    if reception is None:
        return None
    return reception.stats("video") or reception.stats("audio")
