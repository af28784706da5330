"""How steady the broadcasting ward has been: its uplink's loss, and whether it broke off."""

from __future__ import annotations

from collections.abc import Iterable

from hub.state.quality import WINDOW_S, SourceFigures
from hub.telemetry.window import CounterWindow
from relay.node.snapshot import PublisherSnapshot, StreamSnapshot

UPLINK_WINDOW_S = 10.0


class SourceWatch:
    """Of one stream. Times: monotonic seconds."""

    def __init__(self) -> None:
        self._packets = CounterWindow(UPLINK_WINDOW_S)
        self._broke_s = float("-inf")
        self._changes: int | None = None
        self._was_on_air = False
        self._fps: float | None = None
        self._ssrcs: tuple[int, ...] = ()

    def observe(self, stream: StreamSnapshot, now_s: float) -> None:
        """Take the node's figures."""
        on_air = stream.state == "on_air"
        # The first time on air is a beginning, not a break.
        changed = self._changes not in (None, 0, stream.publisher_changes)
        if changed or (self._was_on_air and not on_air) or (self._changes and not on_air):
            self._broke_s = now_s
        self._changes, self._was_on_air = stream.publisher_changes, on_air
        publisher = publisher_on_air(stream.publishers)
        self._fps = video_fps(publisher) if publisher else None
        sources = publisher.sources if publisher else ()
        counters = {}
        for source in sources:
            counters[f"lost{source.ssrc}"] = float(max(0, source.lost))
            counters[f"packets{source.ssrc}"] = float(source.packets)
        self._ssrcs = tuple(source.ssrc for source in sources)
        self._packets.add(now_s, counters)

    def loss_ratio(self, now_s: float) -> float:
        """Loss on the uplink over the last 10 s, 0 … 1."""
        lost = sum(self._packets.gain(f"lost{s}", now_s) for s in self._ssrcs)
        packets = sum(self._packets.gain(f"packets{s}", now_s) for s in self._ssrcs)
        return lost / (lost + packets) if lost + packets > 0 else 0.0

    def figures(self, now_s: float) -> SourceFigures:
        """What the grade looks at."""
        return SourceFigures(
            on_air=self._was_on_air,
            fps=self._fps,
            loss_ratio=self.loss_ratio(now_s),
            steady=now_s - self._broke_s > WINDOW_S,
        )


def publisher_on_air(publishers: Iterable[PublisherSnapshot]) -> PublisherSnapshot | None:
    """The one that viewers see."""
    return next((p for p in publishers if p.on_air), None)


def video_fps(publisher: PublisherSnapshot) -> float | None:
    """Frames a second of its best video source."""
    rates = [source.fps for source in publisher.sources if source.kind == "video"]
    return max(rates) if rates else None
