"""The generated and the looped feed, without sockets or waiting."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hub.source.encode import audio_level
from hub.source.file_feed import FeedError, FileFeed, fitted_size
from hub.source.picture_feed import PictureFeed
from hub.source.runner import FeedRunner
from hub.source.units import EncodedUnit, Feed


class FreeClock:
    """A clock on which every wait is over at once; ends the feed after `end_s`."""

    def __init__(self, end_s: float) -> None:
        self.end_s = end_s
        self.at_s = 0.0

    def now_s(self) -> float:
        return self.at_s

    def wait_until(self, media_s: float) -> bool:
        self.at_s = max(self.at_s, media_s)
        return media_s < self.end_s


def play(feed: Feed, seconds: float) -> list[EncodedUnit]:
    lanes = feed.lanes(FreeClock(seconds))
    return list(heapq.merge(*lanes, key=lambda unit: unit.media_s))


def video(units: list[EncodedUnit]) -> list[EncodedUnit]:
    return [unit for unit in units if unit.kind == "video"]


def test_bitrate_is_near_its_target() -> None:
    units = play(PictureFeed("Kỳ họp thứ nhất", bits_per_second=2_500_000), 8.0)
    bits = sum(len(unit.data) for unit in video(units)) * 8 / 8.0
    assert bits == pytest.approx(2_500_000, rel=0.15)
    sound = sum(len(unit.data) for unit in units if unit.kind == "audio") * 8 / 8.0
    assert 20_000 < sound < 90_000


def test_keyframes_every_two_seconds_and_no_b_frames() -> None:
    units = video(play(PictureFeed("Kỳ họp"), 5.0))
    assert [u.media_s for u in units if u.keyframe] == [0.0, 2.0, 4.0]
    assert [u.media_s for u in units] == pytest.approx([n / 30 for n in range(150)], abs=1e-4)


def test_a_keyframe_is_sent_on_request_but_not_twice_in_half_a_second() -> None:
    feed = PictureFeed("Kỳ họp", audio=False)
    (lane,) = feed.lanes(FreeClock(3.0))
    keys = []
    for unit in lane:
        if unit.keyframe:
            keys.append(unit.media_s)
        if unit.media_s == pytest.approx(1.0, abs=1e-4) or unit.media_s == pytest.approx(
            1.2, abs=1e-4
        ):
            feed.request_keyframe()
    assert keys == pytest.approx([0.0, 31 / 30, 31 / 30 + 0.5], abs=1e-3)


def test_each_keyframe_carries_its_parameter_sets() -> None:
    for unit in video(play(PictureFeed("Kỳ họp", audio=False), 2.5)):
        kinds = [chunk[0] & 0x1F for chunk in unit.data.split(b"\x00\x00\x01")[1:]]
        assert (7 in kinds and 8 in kinds) == unit.keyframe


def test_the_bitrate_follows_a_new_target() -> None:
    feed = PictureFeed("Kỳ họp", audio=False)
    (lane,) = feed.lanes(FreeClock(9.0))
    late = 0
    for unit in lane:
        if unit.media_s >= 2.0:
            feed.set_bitrate(800_000)
        if unit.media_s >= 4.0:
            late += len(unit.data) * 8
    assert late / 5 == pytest.approx(800_000, rel=0.2)


def test_beep_and_flash_begin_together() -> None:
    from hub.source.picture import FLASH_S
    from hub.source.tone import Tone

    tone = Tone()
    loud = [int(np.abs(tone.frame(1_750_000_000 + n * 0.02)).max()) > 8000 for n in range(50)]
    assert loud == [n * 0.02 < FLASH_S for n in range(50)]


def test_audio_level() -> None:
    assert audio_level(np.zeros(960, np.int16)) == 127
    assert audio_level(np.full(960, 32767, np.int16)) == 0
    assert audio_level(np.full(960, 3277, np.int16)) == 20


def write_clip(path: Path, *, fps: int = 25, seconds: float = 1.0, sound: bool = True) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        audio = out.add_stream("aac", rate=44100) if sound else None
        for index in range(round(fps * seconds)):
            picture = np.full((240, 320, 3), index * 5 % 256, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
        if audio is not None:
            count = round(44100 * seconds)
            wave = np.sin(np.arange(count) / 44100 * 2 * np.pi * 440).astype(np.float32)
            for at in range(0, count, 1024):
                part = wave[at : at + 1024].reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate = 44100
                frame.pts = at
                frame.time_base = Fraction(1, 44100)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))


def test_a_file_loops_without_a_seam(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    units = play(FileFeed(tmp_path / "clip.mp4"), 3.5)
    pictures = [u.media_s for u in video(units)]
    assert len(pictures) == pytest.approx(3.5 * 25, abs=4)
    assert all(0 < b - a < 0.1 for a, b in itertools.pairwise(pictures))
    sound = [u.media_s for u in units if u.kind == "audio"]
    assert all(0 < b - a < 0.1 for a, b in itertools.pairwise(sound))
    assert sound[-1] == pytest.approx(pictures[-1], abs=0.15)


def test_sixty_pictures_a_second_become_thirty(tmp_path: Path) -> None:
    write_clip(tmp_path / "fast.mp4", fps=60, sound=False)
    feed = FileFeed(tmp_path / "fast.mp4")
    assert not feed.has_audio
    assert len(play(feed, 1.0)) == pytest.approx(30, abs=1)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"not a film")
    with pytest.raises(FeedError, match=r"x\.mp4 cannot be opened"):
        FileFeed(tmp_path / "x.mp4")


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((1920, 1080), (1280, 720)), ((640, 480), (640, 480)), ((1080, 1920), (404, 720))],
)
def test_pictures_are_fitted_into_720p(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitted_size(*size) == fitted


class FailingFeed(PictureFeed):
    def lanes(self, clock: object) -> list[Iterator[EncodedUnit]]:
        def lane() -> Iterator[EncodedUnit]:
            yield EncodedUnit("audio", 0.0, b"x")
            raise FeedError("the camera was pulled out")

        return [lane()]


async def test_a_failing_lane_is_heard() -> None:
    async with FeedRunner(FailingFeed("Kỳ họp", audio=False)) as runner:
        unit = await runner.next()
        assert unit is not None
        assert unit.data == b"x"
        with pytest.raises(FeedError, match="pulled out"):
            await runner.next()


async def test_the_runner_paces_both_lanes() -> None:
    async with FeedRunner(PictureFeed("Kỳ họp")) as runner:
        units = []
        while len(units) < 16:
            unit = await runner.next()
            assert unit is not None
            assert runner.clock.now_s() >= unit.media_s
            units.append(unit)
    assert {unit.kind for unit in units} == {"audio", "video"}
