"""Devices, with FFmpeg's virtual one (lavfi) in place of a camera."""

from __future__ import annotations

import itertools

import pytest

from hub.source.device_feed import Device, DeviceFeed
from hub.source.file_feed import FeedError
from hub.source.runner import MonotonicClock


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/video2", Device("v4l2", "/dev/video2")),
        ("v4l2:/dev/video0", Device("v4l2", "/dev/video0")),
        ("dshow:video=USB Camera", Device("dshow", "video=USB Camera")),
        ("avfoundation::0", Device("avfoundation", ":0")),
    ],
)
def test_names_of_devices(text: str, device: Device) -> None:
    assert Device.parse(text) == device


@pytest.mark.parametrize("text", ["camera", ":x", "v4l2:", ""])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(FeedError, match="format:name"):
        Device.parse(text)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(FeedError, match="v4l2:/dev/video99 cannot be opened"):
        DeviceFeed(Device("v4l2", "/dev/video99"), None)


def test_a_camera_and_a_microphone() -> None:
    feed = DeviceFeed(
        Device("lavfi", "testsrc=size=640x480:rate=30"), Device("lavfi", "sine=frequency=440")
    )
    clock = MonotonicClock()
    camera, microphone = feed.lanes(clock)
    pictures = list(itertools.islice(camera, 2))
    assert [unit.keyframe for unit in pictures] == [True, False]
    sounds = list(itertools.islice(microphone, 3))
    assert [round(b.media_s - a.media_s, 3) for a, b in itertools.pairwise(sounds)] == [0.02, 0.02]
    clock.stop()
    assert list(camera) == []
    assert list(microphone) == []


def test_a_device_that_ends_is_an_error() -> None:
    feed = DeviceFeed(Device("lavfi", "testsrc=size=64x48:rate=30:duration=0.2"), None)
    (camera,) = feed.lanes(MonotonicClock())
    with pytest.raises(FeedError, match="stopped"):
        list(camera)
