"""The lines of all viewers of a stream: drives each, remembers what those who left had."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from relay.core.line.estimate import UNKNOWN_BPS
from relay.core.line.line_state import LineStatus
from relay.core.line.viewer_line import ViewerLine
from relay.core.rtcp_feedback import TransportFeedback
from relay.core.track import Track
from relay.core.transport_sequence import TransportSequence
from relay.core.viewer import Viewer

DECIDE_INTERVAL_MS = 90.0
REMEMBERED = 512
REMEMBERED_MS = 120_000.0
MEMORY_MARGIN, LEAST_BPS = 1.15, 150_000.0
"""Who comes back is believed a little more than it had, and a small picture at the least."""


class LineControl:
    """By viewer id. Decisions are made by `poll_slowly`, some ten times a second; `poll` says who
    is to be sent padding now."""

    def __init__(self, track: Track, transport: TransportSequence) -> None:
        self._track = track
        self._transport = transport
        self._lines: dict[str, ViewerLine] = {}
        self._keys: dict[str, str] = {}
        self._probing: dict[str, ViewerLine] = {}
        self._memory: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._told: dict[str, LineStatus] = {}
        self._decided_ms = float("-inf")
        self.probes = 0
        self.feedbacks = 0

    def line_of(self, viewer_id: str) -> ViewerLine | None:
        """The line of a viewer, None for one without a picture or that is never limited."""
        return self._lines.get(viewer_id)

    def start(self, viewer: Viewer, now_ms: float, key: str | None = None) -> float:
        """A viewer's transport is up. key: whose line it is (a commune). Returns what its line is
        believed to carry, infinity when nothing is known."""
        lane = viewer.lanes.get("video")
        if lane is None:
            return UNKNOWN_BPS
        start_bps = self._recall(key, now_ms)
        line = ViewerLine(lane, self._track, self._transport, now_ms, start_bps=start_bps)
        self._lines[viewer.id] = line
        if key is not None:
            self._keys[viewer.id] = key
        return start_bps

    def stop(self, viewer_id: str, now_ms: float) -> None:
        """A viewer has left; harmless when it was never here."""
        line = self._lines.pop(viewer_id, None)
        key = self._keys.pop(viewer_id, None)
        self._probing.pop(viewer_id, None)
        self._told.pop(viewer_id, None)
        if line is None:
            return
        line.close()
        known_bps = line.known_bps
        if key is not None and known_bps is not None:
            self._memory[key] = (known_bps, now_ms)
            self._memory.move_to_end(key)
            if len(self._memory) > REMEMBERED:
                self._memory.popitem(last=False)

    def on_feedback(self, viewer_id: str, feedback: TransportFeedback, now_ms: float) -> None:
        """Transport-wide feedback of a viewer."""
        line = self._lines.get(viewer_id)
        if line is None:
            return
        self.feedbacks += 1
        if line.on_feedback(feedback, now_ms):
            line.decide(now_ms)

    def poll_slowly(self, now_ms: float) -> list[tuple[str, LineStatus]]:
        """Decide for all; returns (viewer id, status) of those who get something else than they
        were last told."""
        if now_ms - self._decided_ms < DECIDE_INTERVAL_MS:
            return []
        self._decided_ms = now_ms
        changed: list[tuple[str, LineStatus]] = []
        for viewer_id, line in self._lines.items():
            line.decide(now_ms)
            if line.prober.busy and viewer_id not in self._probing:
                self._probing[viewer_id] = line
                self.probes += 1
            told = self._told.get(viewer_id)
            if told is None or not told.same_words(line.status):
                self._told[viewer_id] = line.status
                changed.append((viewer_id, line.status))
        return changed

    def padding_due(self, now_ms: float) -> Iterator[tuple[ViewerLine, int]]:
        """(line, packets of padding) to be sent now."""
        for viewer_id, line in list(self._probing.items()):
            if not line.prober.busy:
                del self._probing[viewer_id]
            elif line.prober.next_deadline_ms() <= now_ms:
                count = line.prober.due(now_ms)
                if count:
                    yield line, count

    def next_deadline_ms(self) -> float:
        """When padding is due; infinity while no probe is under way."""
        return min(
            (line.prober.next_deadline_ms() for line in self._probing.values()),
            default=float("inf"),
        )

    def _recall(self, key: str | None, now_ms: float) -> float:
        if key is None or key not in self._memory:
            return UNKNOWN_BPS
        known_bps, then_ms = self._memory[key]
        if now_ms - then_ms > REMEMBERED_MS:
            del self._memory[key]
            return UNKNOWN_BPS
        return max(known_bps * MEMORY_MARGIN, LEAST_BPS)
