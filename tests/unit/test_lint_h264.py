"""What the linter says about real H.264 streams, good and bad."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay.core.negotiation import CodecParameters
from tests.unit.encoded_clips import Unit, h264, h264_packets, nals
from tests.unit.lint_feed import OPUS, Feed

Frames = list[tuple[Sequence[bytes], int]]


def frames(units: Sequence[Unit], *, drop: tuple[int, ...] = (), rounds: int = 4) -> Frames:
    """A clip repeated, with its presentation numbers running on."""
    return [
        (h264_packets(unit, drop=drop), len(units) * again + number)
        for again in range(rounds)
        for unit, number, _ in units
    ]


def test_a_good_stream_has_no_fault() -> None:
    feed = Feed()
    for turn in range(2):
        feed.frames(frames(h264(profile="baseline")), start=turn * 240_000)
        assert feed.findings() == {} or set(feed.findings()) == {"bitrate_too_low"}


def test_b_frames_are_found_within_a_second_and_heal() -> None:
    feed = Feed()
    bad = frames(h264(b_frames=2))
    feed.frames(bad[:25])
    found = feed.findings()["b_frames"]
    assert found.severity == "error"
    assert float(found.data["share_percent"]) > 30
    assert "B-frames = 0" in found.vi
    assert "set B-frames to 0" in found.en
    assert found.since_ms == feed.now_ms
    feed.frames(bad[25:50])
    assert feed.findings()["b_frames"].since_ms == found.since_ms
    feed.frames(frames(h264()), start=1_000_000)
    assert "b_frames" not in feed.faults()


def test_times_that_run_backward_without_b_slices() -> None:
    feed = Feed()
    plain = [payloads for payloads, _ in frames(h264())]
    order = [n + 3 * (n % 3 == 0) - 1 for n in range(len(plain))]
    feed.frames(list(zip(plain, order, strict=True)))
    assert feed.findings()["b_frames"].severity == "error"
    assert "backward" in feed.findings()["b_frames"].en


def test_a_few_late_frames_are_loss_not_b_frames() -> None:
    feed = Feed()
    numbered = frames(h264())
    for at in range(0, len(numbered) - 5, 10):
        numbered[at : at + 4] = [*numbered[at + 1 : at + 4], numbered[at]]
    feed.frames(numbered)
    assert "b_frames" not in feed.findings()


@pytest.mark.parametrize(
    ("profile", "pixel_format", "severity", "says"),
    [
        ("high422", "yuv422p", "error", "High 4:2:2 (4:2:2, 8 bit)"),
        ("high10", "yuv420p10le", "error", "High 10 (4:2:0, 10 bit)"),
        ("high444", "yuv444p", "error", "4:4:4"),
        ("high", "yuv420p", "info", "High"),
        ("main", "yuv420p", "info", "Main"),
    ],
)
def test_profiles(profile: str, pixel_format: str, severity: str, says: str) -> None:
    feed = Feed()
    feed.frames(frames(h264(profile=profile, pixel_format=pixel_format))[:5])
    found = feed.findings()["h264_profile"]
    assert found.severity == severity
    assert says in found.vi
    assert says in found.en
    feed.frames(frames(h264(profile="baseline"))[:20], start=900_000)
    assert "h264_profile" not in feed.findings()


def test_interlaced() -> None:
    feed = Feed()
    feed.frames(frames(h264(params="interlaced=1"))[:5])
    assert feed.findings()["h264_interlaced"].severity == "warning"


def test_missing_sets_heal_with_the_next_whole_key_frame() -> None:
    feed = Feed()
    whole, bare = frames(h264(), rounds=1), frames(h264(), drop=(7, 8), rounds=2)
    feed.frames(whole)
    assert "missing_parameter_sets" not in feed.findings()
    feed.frames(bare, start=60_000)
    assert feed.findings()["missing_parameter_sets"].severity == "warning"
    feed.frames(whole, start=240_000)
    feed.run(300)
    assert "missing_parameter_sets" not in feed.findings()


def test_sets_never_seen_are_an_error_until_repaired() -> None:
    feed = Feed()
    feed.frames(frames(h264(), drop=(7, 8), rounds=1))
    assert feed.findings()["missing_parameter_sets"].severity == "error"
    feed.linter.on_repaired("v", feed.now_ms)
    found = feed.findings()["missing_parameter_sets"]
    assert (found.severity, "hub puts them in" in found.en) == ("info", True)


def test_sets_that_come_late_are_no_fault() -> None:
    feed = Feed()
    unit = h264()[0][0]
    sets = [nal for nal in nals(unit) if nal[0] & 0x1F in (7, 8)]
    feed.video(h264_packets(unit, drop=(7, 8)), 3000)
    feed.run(100)
    assert "missing_parameter_sets" not in feed.findings()
    feed.video(sets, 3000)
    feed.run(400)
    assert "missing_parameter_sets" not in feed.findings()


@pytest.mark.parametrize(
    ("fmtp", "fragmented", "fault"),
    [
        ({}, False, True),
        ({"packetization-mode": "0"}, False, True),
        ({}, True, False),
        ({"packetization-mode": "1"}, False, False),
    ],
)
def test_packetization_mode(fmtp: dict[str, str], fragmented: bool, fault: bool) -> None:
    codec = CodecParameters(102, "H264", 90000, fmtp=fmtp)
    feed = Feed(codecs=(("video", codec), ("audio", OPUS)))
    clip = frames(h264(profile="baseline"), rounds=3)
    if not fragmented:
        clip = [([p for p in payloads if p[0] & 0x1F != 28], n) for payloads, n in clip]
    feed.frames(clip)
    assert ("packetization_mode" in feed.findings()) is fault


def test_other_formats_of_the_offer_do_not_matter() -> None:
    modes = [
        CodecParameters(p, "H264", 90000, fmtp={"packetization-mode": m})
        for p, m in ((102, "1"), (104, "0"))
    ]
    feed = Feed(codecs=(*(("video", codec) for codec in modes), ("audio", OPUS)))
    feed.frames([([b"\x41\xe0\x01"], n) for n in range(60)])
    assert "packetization_mode" not in feed.findings()
