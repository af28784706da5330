"""Silence, clipping and absence of sound."""

from __future__ import annotations

import pytest

from relay.core.lint_window import SlidingSum
from tests.unit.encoded_clips import opus_packets
from tests.unit.lint_feed import H264, OPUS, Feed


def quiet_feed() -> Feed:
    feed = Feed()
    feed.run(1000)
    return feed


def test_speech_is_well() -> None:
    feed = quiet_feed()
    feed.run(1000)
    assert feed.findings() == {} or set(feed.findings()) == {"no_video"}


def test_no_audio_and_its_return() -> None:
    feed = quiet_feed()
    feed.audio = False
    feed.run(2100)
    assert feed.findings()["no_audio"].severity == "error"
    assert feed.findings()["no_audio"].data["silent_s"] == pytest.approx(2.1, abs=0.05)
    feed.audio = True
    feed.run(100)
    assert "no_audio" not in feed.findings()


def test_no_audio_section() -> None:
    feed = Feed(codecs=(("video", H264),))
    feed.audio = False
    for number in range(30):
        feed.video([b"\x41\xe0\x01"], number * 9000)
        feed.run(100)
    found = feed.findings()["no_audio"]
    assert (found.severity, "no audio track" in found.en) == ("warning", True)


@pytest.mark.parametrize("level", [127, 127 | 0x80, 90])
def test_silence_by_level(level: int) -> None:
    feed = quiet_feed()
    feed.level = level
    feed.run(4500)
    assert "silent_audio" not in feed.findings()
    feed.run(1000)
    found = feed.findings()["silent_audio"]
    assert found.severity == "warning"
    assert found.data["level_dbov"] == -(level & 0x7F)
    feed.level = 40
    feed.run(100)
    assert "silent_audio" not in feed.findings()


def test_pauses_of_a_speaker_are_well() -> None:
    feed = quiet_feed()
    for _ in range(5):
        feed.level = 127
        feed.run(3000)
        assert "silent_audio" not in feed.findings()
        feed.level = 35
        feed.run(200)


def test_silence_by_size_is_only_a_note() -> None:
    feed = Feed()
    feed.level = None
    feed.run(6000)
    assert "silent_audio" not in feed.findings()
    feed.speech = opus_packets("silence")[10]
    feed.run(5500)
    assert feed.findings()["silent_audio"].severity == "info"
    feed.speech = opus_packets("tone")[10]
    feed.run(100)
    assert "silent_audio" not in feed.findings()


def test_clipping() -> None:
    feed = quiet_feed()
    feed.level = 0
    feed.run(1000)
    found = feed.findings()["clipping_audio"]
    assert found.severity == "warning"
    assert float(found.data["share_percent"]) > 40
    feed.level = 20
    feed.run(2100)
    assert "clipping_audio" not in feed.findings()


def test_a_single_loud_moment_is_well() -> None:
    feed = quiet_feed()
    feed.level = 0
    feed.run(200)
    feed.level = 20
    feed.run(500)
    assert "clipping_audio" not in feed.findings()


def test_red_is_looked_into() -> None:
    feed = Feed(codecs=(("audio", OPUS),))
    silent = (0xEF << 24 | 960 << 10 | 3).to_bytes(4, "big") + b"\x6f\xf8\xff\xfe\xf8\xff\xfe"
    for number in range(300):
        at_ms = feed.now_ms + 20 * number
        feed.linter.on_packet("r", "audio", "RED", silent, 960 * number, False, at_ms, None)
    feed.audio = False
    feed.now_ms += 6000
    assert "silent_audio" in feed.findings()


def test_malformed_audio() -> None:
    feed = quiet_feed()
    feed.speech = b"\xfb"
    feed.run(200)
    assert feed.findings()["malformed_payload"].data["codec"] == "OPUS"


def test_sliding_sum() -> None:
    window = SlidingSum(1000, 10)
    for at in range(0, 3000, 10):
        window.add(at)
    assert window.total(2999) == 100
    assert window.per_second(2999) == pytest.approx(100, rel=0.02)
    assert window.total(3450) == 50
    window.add(2900, 5)
    assert window.total(3450) == 55
    assert window.total(10_000) == 0
    window.add(50_000)
    assert window.total(50_000) == 1
