"""One viewer's line: signs in, layer and padding out.

Most lines are good, and watching them closely would cost as much as feeding them: transport-wide
feedback comes up to twenty times a second. So it is asked for (by writing its header extension)
only while a line is *in question*: at the start, after a bad sign, and as long as the viewer gets
less than it should. A good line tells of trouble by its receiver reports, NACKs and, where it
sends them, a falling REMB, which cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.lanes import Lane, LaneState
from relay.core.line.estimate import UNKNOWN_BPS, LineEstimate
from relay.core.line.feedback import Arrival, FeedbackReader
from relay.core.line.layer_choice import Reason, position, rate_of, steps
from relay.core.line.line_state import LineState, LineStatus
from relay.core.line.probe import STEP, TOO_LONG_MS, Prober
from relay.core.line.signs import LineSigns
from relay.core.line.voice_repair import VoiceRepair
from relay.core.retransmit import BUDGET_BPS
from relay.core.rtcp_feedback import TransportFeedback
from relay.core.source import Source
from relay.core.track import Track
from relay.core.transport_sequence import TransportSequence

START_MS = 4000.0
QUESTION_MS = 8000.0
"""A line stays in question this long after the last bad sign."""
SHARE = 0.97
"""Of the bound that the picture may take."""
URGENT = 1.25
"""A layer this far above the bound is stopped at once, whatever comes instead."""
PATIENT_MS = 1200.0
"""A line that is still full after this waits no longer for the key frame of a poorer layer."""
SETTLE_MS = 500.0
MARGIN, MAX_MARGIN, MARGIN_GROWTH = 1.1, 1.8, 1.2
SAME_STEP = 1.4
"""A probe must show so many times the layer's rate; more after each promise that did not hold, so
that a line on the edge of a layer does not go to and fro."""
STABLE_MS, FILLED_MS = 60_000.0, 3000.0
LEAST_PROBE_BPS = 120_000.0
LOSSY = 0.03
CLEARLY_MORE = 1.35
"""A probe that asks for hardly more than is known would tell nothing within its time."""
FLOOD_PAUSE_MS = 1500.0
LIFT_MS, MAX_LIFT_MS, TRIAL_MS = 4000.0, 30_000.0, 5000.0
REPAIR_SHARE, FULL_SHARE, MIN_REPAIR_BPS = 0.5, 0.06, 200_000.0
PROMISE_MS = 6000.0
"""A layer that fills the line within this was promised too soon."""


class ViewerLine:
    """The line of one viewer with a video lane.

    watching: transport-wide feedback is being asked for. status: what the viewer gets now.
    """

    def __init__(
        self,
        lane: Lane,
        track: Track,
        transport: TransportSequence,
        now_ms: float,
        *,
        start_bps: float = UNKNOWN_BPS,
    ) -> None:
        self.lane = lane
        self.estimate = LineEstimate(start_bps)
        self.prober = Prober()
        self.signs = LineSigns()
        self.voice = VoiceRepair()
        self.status = LineStatus()
        self.can_watch = lane.rtx_ssrc is not None and lane.layout.transport_cc_id > 0
        self.watching = self.can_watch
        self._track = track
        self._transport = transport
        self._reader = FeedbackReader()
        self._question_ms = now_ms + START_MS - QUESTION_MS
        self._started_ms = now_ms
        self._lifted_ms = float("-inf")
        self._lift_after_ms = LIFT_MS
        self._raised_ms = float("-inf")
        self._raised_bps = self._broken_bps = 0.0
        self._margin = MARGIN
        self._full_since_ms: float | None = None
        if self.can_watch:
            transport.watch(lane.peer_index)

    # -- signs

    def on_feedback(self, feedback: TransportFeedback, now_ms: float) -> bool:
        """Transport-wide feedback. True when the line is full: decide at once."""
        if not self.watching:
            return False
        sent = self._transport.sent(self.lane.peer_index, feedback.base_seq, len(feedback.deltas))
        return self.on_arrivals(self._reader.read(feedback, sent), now_ms)

    def on_arrivals(self, arrivals: Sequence[Arrival], now_ms: float) -> bool:
        """What one feedback tells. True when the line is full."""
        full = self.estimate.on_arrivals(arrivals, now_ms, probing=self.prober.busy)
        self.prober.on_arrivals(arrivals)
        if self.prober.busy and self.estimate.delay_ms > TOO_LONG_MS:
            self.prober.on_full(now_ms)
        if not full:
            self._full_since_ms = None
            return False
        self._question_ms = now_ms
        if self._full_since_ms is None:
            self._full_since_ms = now_ms
        if not self.prober.on_full(now_ms) and now_ms - self._raised_ms < PROMISE_MS:
            self.prober.back_off(now_ms)
            again = self._is_step(self._broken_bps, self._raised_bps)
            self._margin = min(MAX_MARGIN, (self._margin if again else MARGIN) * MARGIN_GROWTH)
            self._broken_bps = self._raised_bps
            self._raised_ms = float("-inf")
        return True

    def on_report(self, loss_ratio: float, rtt_ms: float | None, now_ms: float) -> None:
        """A receiver report of the video."""
        if self.signs.on_report(loss_ratio, rtt_ms):
            self._question_ms = now_ms
        if not self.can_watch:
            self._judge_unwatched(loss_ratio, now_ms)

    def _judge_unwatched(self, loss_ratio: float, now_ms: float) -> None:
        """Loss is all that tells of a viewer without repair stream or feedback. Heavy loss bounds
        its line; it may be the line's own, and nothing can probe it, so the bound is lifted after a
        while: at once by a step, later and later when that did not hold."""
        bound = self.signs.bound_by_loss(loss_ratio, self._sent_bps())
        if bound is None or now_ms < self._lifted_ms + TRIAL_MS:
            return
        self.estimate.on_bound(bound, now_ms)
        self._lift_after_ms = min(MAX_LIFT_MS, self._lift_after_ms * 2)

    def _lift_unwatched(self, now_ms: float) -> None:
        if self.can_watch or self.estimate.bps == UNKNOWN_BPS:
            return
        if now_ms - max(self.estimate.congested_ms, self._lifted_ms) >= self._lift_after_ms:
            self._lifted_ms = now_ms
            self.estimate.forgive()

    def on_nacks(self, seqs: Sequence[int], now_ms: float) -> bool:
        """A NACK for these packets of the video. True when the line has collapsed."""
        if self.signs.on_nacks(seqs, now_ms):
            self._question_ms = now_ms
        if now_ms - max(self.estimate.congested_ms, self._started_ms) < FLOOD_PAUSE_MS:
            return False  # These were lost before less was sent, or in the join's burst.
        left_bps = self.signs.flooded(self._sent_bps(), now_ms)
        if left_bps is None:
            return False
        self.estimate.on_bound(left_bps, now_ms)
        return True

    def on_remb(self, remb_bps: float, now_ms: float) -> None:
        """The receiver's own estimate. It counts alone where there is no better sign; it never
        exceeds one and a half times what is sent, so a high one says little."""
        if self.watching:
            return
        if self.signs.on_remb(remb_bps, self._sent_bps()):
            self._question_ms = now_ms
            if not self.can_watch:
                self.estimate.on_bound(remb_bps, now_ms)
        elif not self.can_watch and remb_bps > self.estimate.bps:
            self.estimate.on_proven(remb_bps)

    def on_overflow(self, now_ms: float) -> None:
        """Its queue here (media over TCP) had to drop the picture."""
        self._question_ms = now_ms
        self.estimate.on_bound(0.6 * max(self._sent_bps(), 1.0), now_ms)

    # -- decisions

    def voice_level(self, reported_loss: float, voice_bps: float, now_ms: float) -> int:
        """How many older frames its sound should carry. reported_loss: the worst of its reports.
        voice_bps: of the sound as it comes."""
        told = self.estimate.loss_ratio if self.watching else 0.0
        filled = now_ms - self.estimate.congested_ms < FILLED_MS
        return self.voice.update(
            max(told, reported_loss),
            self.estimate.loss_floor,
            filled=filled,
            line_bps=self.estimate.bps,
            voice_bps=voice_bps,
            now_ms=now_ms,
        )

    def decide(self, now_ms: float) -> None:
        """Choose the layer; some ten times a second, and when the line is found full."""
        track, lane = self._track, self.lane
        state = track.state_of(lane)
        if not track.layers or state <= LaneState.IDLE or state == LaneState.NO_CODEC:
            return
        proven = self.prober.verdict(self.estimate.loss_floor, now_ms)
        if proven is not None:
            self.estimate.on_proven(proven)
        self._lift_unwatched(now_ms)
        before = track.choice_of(lane)
        wish = track.wish_of(lane)
        track.set_wish(lane, wish.with_budget(self.estimate.bps * SHARE), now_ms)
        choice = track.choice_of(lane)
        ladder, _ = steps(track.layers, wish)
        at = position(ladder, choice)
        if -1 < at < position(ladder, before):
            self._raised_ms, self._raised_bps = now_ms, ladder[at].rate_bps
        self._stop_what_does_not_fit(choice.source, now_ms)
        self._bound_repairs(ladder[at].rate_bps if 0 <= at < len(ladder) else 0.0, now_ms)
        if at > 0:
            self._probe(ladder[at - 1].rate_bps, now_ms)
        self._watch(limited=at > 0, now_ms=now_ms)
        self.status = LineStatus.of(choice.source, choice.reason, self.estimate.bps)

    def _stop_what_does_not_fit(self, target: Source | None, now_ms: float) -> None:
        """A picture that floods the line is stopped before what replaces it is there: else the
        sound would drown with it."""
        splice, state = self.lane.current, self._track.state_of(self.lane)
        if target is None or splice is None or state not in (LaneState.LIVE, LaneState.BURST):
            return
        if state == LaneState.BURST and now_ms == self.estimate.congested_ms:
            # The join's burst is faster than the line: begin anew, slower.
            self._track.replace_now(self.lane, target, self.estimate.bps, now_ms)
            return
        if splice.source is target:
            return
        rate = rate_of(splice.source)
        patient = self._full_since_ms is None or now_ms - self._full_since_ms < PATIENT_MS
        if rate > URGENT * self.estimate.bps or (rate > self.estimate.bps and not patient):
            self._track.replace_now(self.lane, target, self.estimate.bps, now_ms)

    def _bound_repairs(self, rate_bps: float, now_ms: float) -> None:
        """Repairs get what the picture leaves of the line, and what the line loses by itself; a
        share of the picture in any case, a small one while the line is full."""
        repairs = self._track.repairs_of(self.lane)
        filled = now_ms - self.estimate.congested_ms < FILLED_MS
        lossy = self.watching and not filled and self.estimate.own_loss >= LOSSY
        repairs.copies = 2 if lossy and rate_bps else 1
        repairs.queue_ms = self.estimate.delay_ms if self.watching else 0.0
        if self.estimate.bps == UNKNOWN_BPS:
            repairs.budget_bps = min(BUDGET_BPS, max(REPAIR_SHARE * rate_bps, MIN_REPAIR_BPS))
            return
        own = 2.5 * self.estimate.loss_floor * rate_bps * repairs.copies
        share = (FULL_SHARE if filled else REPAIR_SHARE / 2) * rate_bps
        spare = max(self.estimate.bps - rate_bps, own, share)
        repairs.budget_bps = min(BUDGET_BPS, max(spare, MIN_REPAIR_BPS / 4))

    def _probe(self, next_bps: float, now_ms: float) -> None:
        """See whether the line carries the next better thing."""
        if not self.watching:
            return
        settled = now_ms - self.estimate.congested_ms >= SETTLE_MS
        if not (settled and self.estimate.clear(now_ms) and self.prober.may_begin(now_ms)):
            return
        if now_ms - self.estimate.congested_ms > STABLE_MS:
            self._broken_bps = 0.0
        margin = self._margin if self._is_step(self._broken_bps, next_bps) else MARGIN
        sent_bps = self._sent_bps()
        known_bps = max(sent_bps, self.estimate.bps)
        reach_bps = max(known_bps * STEP, LEAST_PROBE_BPS)
        next_seq = self._transport.next_of(self.lane.peer_index)
        goal_bps = min(max(next_bps * margin, known_bps * CLEARLY_MORE), reach_bps)
        self.prober.begin(goal_bps, known_bps, sent_bps, next_seq, now_ms)

    @staticmethod
    def _is_step(one_bps: float, other_bps: float) -> bool:
        """Whether two rates are of the same layer."""
        low, high = sorted((one_bps, other_bps))
        return high < SAME_STEP * low

    def _watch(self, *, limited: bool, now_ms: float) -> None:
        if not self.can_watch:
            return
        wanted = limited or now_ms - self._question_ms < QUESTION_MS
        if wanted == self.watching:
            return
        self.watching = wanted
        if wanted:
            self._transport.watch(self.lane.peer_index)
        else:
            self._transport.unwatch(self.lane.peer_index)
            self.estimate.forgive()
        self._track.set_feedback(self.lane, wanted=wanted)

    def close(self) -> None:
        """The viewer is gone."""
        self._transport.unwatch(self.lane.peer_index)

    @property
    def known_bps(self) -> float | None:
        """What to begin with when this viewer comes back; None when nothing is known."""
        limited = self.status.state is not LineState.FULL or self.status.reason is Reason.LINE
        return self.estimate.bps if limited and self.estimate.bps != UNKNOWN_BPS else None

    def _sent_bps(self) -> float:
        """Rate of the layer that is being sent; 0 while none is."""
        splice = self.lane.current
        if splice is None or self._track.state_of(self.lane) != LaneState.LIVE:
            return 0.0
        cap = int(self._track.table.temporal_cap[self.lane.index])
        return rate_of(splice.source, cap)
