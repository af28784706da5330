"""What the hub remembers of one viewer beside the node's own figures."""

from __future__ import annotations

from dataclasses import dataclass, field

from hub.state.quality import WINDOW_S, ViewerFigures
from hub.telemetry.browser_report import BrowserReport
from hub.telemetry.window import CounterWindow, MeanWindow
from relay.node.snapshot import ViewerSnapshot

LOSS_WINDOW_S = 10.0
REPORT_STALE_S = 15.0
"""A page reports every 2 to 5 s; what is older says nothing of now."""
MAX_USER_AGENT_CHARS = 300
_LAYERS_BELOW = {"reduced": 1, "audio-only": 2}


def _counters() -> CounterWindow:
    return CounterWindow(WINDOW_S)


def _loss() -> MeanWindow:
    return MeanWindow(LOSS_WINDOW_S)


@dataclass
class SessionRecord:
    """One viewer. joined_at: seconds since the epoch; reported_s: monotonic seconds."""

    id: str
    stream: str
    commune: str
    joined_at: float
    user_agent: str = ""
    snapshot: ViewerSnapshot | None = None
    report: BrowserReport | None = None
    reported_s: float = float("-inf")
    _sent: CounterWindow = field(default_factory=_counters)
    _browser: CounterWindow = field(default_factory=_counters)
    _loss: MeanWindow = field(default_factory=_loss)

    def observe(self, snapshot: ViewerSnapshot, now_s: float) -> None:
        """Take the node's figures."""
        self.snapshot = snapshot
        self._sent.add(now_s, {"nacks": snapshot.nacks, "packets": snapshot.packets_sent})
        self._loss.add(now_s, max(snapshot.video_loss_ratio, snapshot.audio_loss_ratio))

    def take_report(self, report: BrowserReport, user_agent: str, now_s: float) -> None:
        """Take the page's figures."""
        self.report, self.reported_s = report, now_s
        self.user_agent = user_agent[:MAX_USER_AGENT_CHARS]
        self._browser.add(now_s, report.counters())

    def fresh_report(self, now_s: float) -> BrowserReport | None:
        """The page's last report, unless it is too old to tell."""
        return self.report if now_s - self.reported_s <= REPORT_STALE_S else None

    def loss_ratio(self, now_s: float) -> float:
        """Mean of the last 10 s, 0 … 1, of the worse of video and audio."""
        return self._loss.mean(now_s)

    def figures(self, now_s: float) -> ViewerFigures:
        """What the grade looks at."""
        report = self.fresh_report(now_s)
        buffer_s = self._browser.ratio("jitterBufferDelay", "jitterBufferEmittedCount", now_s)
        snapshot = self.snapshot
        return ViewerFigures(
            loss_ratio=self.loss_ratio(now_s),
            jitter_ms=snapshot.jitter_ms if snapshot else None,
            rtt_ms=snapshot.rtt_ms if snapshot else None,
            nack_ratio=self._sent.ratio("nacks", "packets", now_s),
            fps=report.frames_per_second if report else None,
            freeze_count=int(self._browser.gain("freezeCount", now_s)),
            freeze_s=self._browser.gain("totalFreezesDuration", now_s),
            buffer_ms=None if buffer_s is None else buffer_s * 1000,
            concealed_ratio=self._browser.ratio("concealedSamples", "totalSamplesReceived", now_s),
            layers_below=_LAYERS_BELOW.get(snapshot.line_state, 0) if snapshot else 0,
            sent_fps=snapshot.layer_fps if snapshot else None,
        )
