"""Key-frame gap, rates, size changes and absence, whatever the codec."""

from __future__ import annotations

import pytest

from relay.core.lint import LintLimits
from relay.core.lint_texts import TEXTS
from tests.unit.lint_feed import OPUS, VP8, Feed

FRAME_BYTES = 1000


def vp8_frame(*, key: bool, size: tuple[int, int] = (640, 360), total: int = FRAME_BYTES) -> bytes:
    """One packet that holds a frame."""
    head = b"\x10\x02\x00" if key else b"\x11\x02\x00"
    if key:
        head += b"\x9d\x01\x2a" + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little")
    return b"\x10" + head + bytes(total - len(head))


def vp8_feed(limits: LintLimits | None = None) -> Feed:
    return Feed(limits, codecs=(("video", VP8), ("audio", OPUS)))


class Sender:
    """VP8 at `fps` with a key frame every `interval` frames (0: only the first)."""

    def __init__(self, feed: Feed, *, fps: float = 30.0, interval: int = 60) -> None:
        self.feed = feed
        self.fps = fps
        self.interval = interval
        self.size = (640, 360)
        self.total = FRAME_BYTES
        self.number = 0

    def run(self, seconds: float, *, asked: bool = False) -> None:
        for index in range(round(seconds * self.fps)):
            key = (asked and index == 0) or not (
                self.number % self.interval if self.interval else self.number
            )
            payload = vp8_frame(key=key, size=self.size, total=self.total)
            self.feed.video([payload], int(self.number * 90000 / self.fps), "VP8")
            self.number += 1
            self.feed.run(1000 / self.fps)


def test_two_seconds_between_key_frames_are_well() -> None:
    feed = vp8_feed()
    sender = Sender(feed)
    for _ in range(40):
        sender.run(0.25)
        assert feed.findings() == {}


def test_keyframe_gap_warns_errs_and_heals() -> None:
    feed = vp8_feed()
    sender = Sender(feed, interval=120)
    sender.run(2.9)
    found = feed.findings()["keyframe_gap"]
    assert found.severity == "warning"
    assert found.data["gap_s"] == pytest.approx(2.9, abs=0.1)
    assert "2,9 giây" in found.vi
    assert "2.9 s" in found.en
    sender.run(3)
    assert feed.findings()["keyframe_gap"].data["gap_s"] == pytest.approx(4.0, abs=0.01)
    sender.interval = 0
    sender.run(4)
    assert feed.findings()["keyframe_gap"].severity == "error"
    sender.interval = 30
    sender.run(2.1)
    assert "keyframe_gap" not in feed.findings()


def test_an_encoder_that_answers_requests_is_not_blamed() -> None:
    feed = vp8_feed()
    sender = Sender(feed, interval=0)
    sender.run(4)
    assert feed.findings()["keyframe_gap"].severity == "warning"
    feed.linter.on_keyframe_requested("v", feed.now_ms)
    feed.run(100)
    sender.run(4, asked=True)
    assert feed.findings()["keyframe_gap"].severity == "info"
    feed.linter.on_keyframe_requested("v", feed.now_ms)
    sender.run(4)
    assert feed.findings()["keyframe_gap"].severity == "error"


def test_no_video_and_its_return() -> None:
    feed = vp8_feed()
    sender = Sender(feed)
    sender.run(1)
    feed.run(1500)
    assert "no_video" not in feed.findings()
    feed.run(600)
    assert feed.findings()["no_video"].severity == "error"
    assert "frame_rate_low" not in feed.findings()
    sender.run(0.1)
    assert "no_video" not in feed.findings()


def test_nothing_at_all_is_reported_after_a_grace() -> None:
    feed = vp8_feed()
    feed.audio = False
    feed.run(4000)
    assert feed.findings() == {}
    feed.run(1500)
    assert set(feed.findings()) == {"no_video", "no_audio"}


def test_no_video_section() -> None:
    feed = Feed(codecs=(("audio", OPUS),))
    feed.run(2500)
    assert feed.findings()["no_video"].severity == "warning"
    assert "no video track" in feed.findings()["no_video"].en


def test_budget() -> None:
    feed = vp8_feed(LintLimits(video_budget_bps=1_000_000))
    sender = Sender(feed)
    sender.total = 4500
    sender.run(3)
    assert feed.findings()["bitrate_over_budget"].severity == "warning"
    sender.total = 7000
    sender.run(3)
    found = feed.findings()["bitrate_over_budget"]
    assert found.severity == "error"
    assert found.data["bitrate_mbps"] == pytest.approx(1.683, rel=0.05)
    assert found.data["budget_mbps"] == 1.0
    sender.total = 2000
    sender.run(2.1)
    assert "bitrate_over_budget" not in feed.findings()


def test_layers_share_the_budget_and_the_best_frame_rate_counts() -> None:
    feed = vp8_feed(LintLimits(video_budget_bps=800_000))
    for number in range(90):
        for key, step in (("low", 6), ("high", 1)):
            if number % step == 0:
                payload = vp8_frame(key=number % 60 == 0, total=2000)
                feed.video([payload], number * 3000, "VP8", key)
        feed.run(1000 / 30)
    found = feed.findings()
    assert "frame_rate_low" not in found
    assert "bitrate_over_budget" not in found
    for number in range(90, 150):
        for key in ("low", "high"):
            feed.video([vp8_frame(key=False, total=2000)], number * 3000, "VP8", key)
        feed.run(1000 / 30)
    assert "bitrate_over_budget" in feed.findings()


def test_low_bitrate_is_only_a_note() -> None:
    feed = vp8_feed()
    sender = Sender(feed)
    sender.total = 200
    sender.run(3)
    assert feed.findings()["bitrate_too_low"].severity == "info"


def test_low_frame_rate_heals() -> None:
    feed = vp8_feed()
    sender = Sender(feed, fps=6, interval=12)
    sender.total = 6000
    sender.run(1.5)
    assert "frame_rate_low" not in feed.findings()
    sender.run(1.5)
    assert feed.findings()["frame_rate_low"].data["fps"] == pytest.approx(6, abs=0.8)
    sender.run(0)
    faster = Sender(feed, fps=25, interval=50)
    faster.number = 400
    faster.run(2)
    assert "frame_rate_low" not in feed.findings()


def test_resolution_change_is_noted_for_a_while() -> None:
    feed = vp8_feed()
    sender = Sender(feed, interval=30)
    sender.run(2)
    sender.size = (320, 180)
    sender.run(1)
    found = feed.findings()["resolution_change"]
    assert (found.severity, found.data["width"], found.data["height"]) == ("info", 320, 180)
    assert "640×360" in found.vi
    sender.run(10)
    assert "resolution_change" not in feed.findings()


def test_malformed_packets_are_named() -> None:
    feed = vp8_feed()
    sender = Sender(feed)
    sender.run(1)
    feed.video([b"\x90"] * 5, 95_000, "VP8")
    assert feed.findings()["malformed_payload"].data["codec"] == "VP8"
    sender.run(2.1)
    assert "malformed_payload" not in feed.findings()


def test_sources_are_bounded_and_the_living_stay() -> None:
    feed = vp8_feed()
    for number in range(100):
        feed.video([vp8_frame(key=True)], number * 3000, "VP8", "kept")
        feed.run(1)
        feed.video([vp8_frame(key=True)], 0, "VP8", f"stray {number}")
        feed.run(1)
    assert len(feed.linter._videos) <= 8
    assert "kept" in feed.linter._videos


def test_gravest_first() -> None:
    feed = vp8_feed(LintLimits(video_budget_bps=100_000))
    feed.audio = False
    sender = Sender(feed, interval=0)
    sender.run(3)
    order = {"error": 0, "warning": 1, "info": 2}
    ranks = [order[f.severity] for f in feed.linter.poll(feed.now_ms)]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1


def test_every_sentence_is_whole() -> None:
    for key, sentence in TEXTS.items():
        for text in sentence:
            assert text.endswith("."), key
            assert len(text) > 40, key
        assert sentence.vi != sentence.en
