"""Percentiles, sequence accounting and the report's verdicts, on numbers known in advance."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest

from tests.bench.aims import shortfalls
from tests.bench.figures import evenly_spaced, percentile, spread
from tests.bench.kernel_io import Received
from tests.bench.report import markdown
from tests.bench.stamp import read_stamp, write_stamp
from tests.bench.tally import AUDIO, VIDEO, Tally, between

AUDIO_PT, VIDEO_PT = 111, 102


def test_percentiles() -> None:
    assert percentile(list(range(1, 102)), 50) == 51
    assert percentile(list(range(1, 102)), 99) == 100
    assert math.isnan(percentile([], 50))
    assert spread([1_000_000, 3_000_000])["p50"] == 2.0
    assert spread([])["count"] == 0


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(8, 3, [0, 1, 2]), (2, 500, [0, 499]), (3, 5, [0, 2, 4]), (8, 1, [0])],
)
def test_sampled_viewers_include_first_and_last(
    count: int, total: int, expected: list[int]
) -> None:
    assert evenly_spaced(count, total) == expected


def batch_of(packets: list[tuple[int, int, int]]) -> tuple[Any, Received]:
    """packets: (viewer, payload type, sequence number)."""
    rows = [struct.pack("!BBHII", 0x80, pt, seq, 0, 7) for _, pt, seq in packets]
    memory = np.frombuffer(b"".join(rows), np.uint8)
    count = len(packets)
    return memory, Received(
        offset=np.arange(count, dtype=np.int64) * 12,
        length=np.full(count, 12, np.int64),
        viewer=np.array([viewer for viewer, _, _ in packets], np.int64),
        stamp_ns=np.arange(count, dtype=np.int64) + 1,
    )


def tally() -> Tally:
    return Tally(2, {AUDIO_PT: AUDIO, VIDEO_PT: VIDEO})


def feed(counter: Tally, packets: list[tuple[int, int, int]]) -> None:
    memory, batch = batch_of(packets)
    counter.add(memory, batch)


def test_loss_is_counted_across_the_wrap_of_sequence_numbers() -> None:
    counter = tally()
    feed(counter, [(0, VIDEO_PT, 65533), (1, AUDIO_PT, 10)])
    before = counter.snapshot()
    feed(counter, [(0, VIDEO_PT, 65534), (0, VIDEO_PT, 0), (0, VIDEO_PT, 3), (1, AUDIO_PT, 11)])
    count = between(before, counter.snapshot())
    assert count.packets == 4
    assert count.lost == 3  # 65535, 1 and 2
    assert count.silent_viewers == 0


def test_reordering_is_not_loss() -> None:
    counter = tally()
    feed(counter, [(0, VIDEO_PT, 1), (1, VIDEO_PT, 1)])
    before = counter.snapshot()
    feed(counter, [(0, VIDEO_PT, 4), (0, VIDEO_PT, 2), (0, VIDEO_PT, 3)])
    count = between(before, counter.snapshot())
    assert count.lost == 0
    assert count.silent_viewers == 1
    assert (count.media, count.due) == (3, 6)


def test_rtcp_and_handshakes_are_not_media() -> None:
    counter = tally()
    rows = [bytes([0x80, 200]) + bytes(10), bytes([22, 254]) + bytes(10), bytes(12)]
    memory = np.frombuffer(b"".join(rows), np.uint8)
    batch = Received(
        np.array([0, 12, 24]), np.full(3, 12), np.zeros(3, np.int64), np.zeros(3, np.int64)
    )
    assert not counter.add(memory, batch).any()
    assert counter.packets.sum() == 0


def test_first_arrival_is_kept_once() -> None:
    counter = tally()
    feed(counter, [(0, VIDEO_PT, 5), (0, VIDEO_PT, 6)])
    feed(counter, [(0, VIDEO_PT, 7)])
    assert counter.first_ns[VIDEO] == 1
    assert counter.ssrc[VIDEO] == 7


def test_stamps_survive_padding() -> None:
    packet = bytearray(12 + 60)
    packet[0] = 0x80
    write_stamp(packet, 123_456_789)
    assert read_stamp(bytes(packet)) == 123_456_789
    packet[0] |= 0x20
    assert read_stamp(bytes(packet) + b"\0\0\3") == 123_456_789
    assert read_stamp(bytes(12 + 60)) is None


def good_run(**changes: Any) -> dict[str, Any]:
    latency = {"first": spread([500_000] * 9), "last": spread([1_500_000] * 9)}
    run = {
        "server": "wardcast",
        "viewers": 63,
        "us_per_packet": 5.0,
        "server_core": 0.1,
        "server_wait": 0.0,
        "packets": 1000,
        "lost": 0,
        "loss": 0.0,
        "undelivered": 0.0,
        "silent_viewers": 0,
        "client_socket_drops": 0,
        "refused": 0,
        "first_failure": "",
        "latency": {"video": latency, "audio": latency},
        "join": {"joined": 63, "first_rtp": spread([20_000_000] * 9)},
        "mb_per_viewer": 0.2,
    }
    return {**run, **changes}


def test_a_good_run_meets_the_aims() -> None:
    assert shortfalls(good_run()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"us_per_packet": 6.5}, "6.5 µs"),
        ({"lost": 3, "client_socket_drops": 2}, "2 of them in the load client's own"),
        ({"undelivered": 0.2}, "20.0% of the stream"),
        ({"mb_per_viewer": 0.4}, "0.40 MB"),
        ({"join": {"first_rtp": spread([150_000_000] * 9)}}, "join p95"),
        ({"latency": {}}, "nan ms video latency"),
        ({"refused": 2, "first_failure": "503"}, "2 of 63 viewers were refused"),
    ],
)
def test_each_missed_aim_is_said(change: dict[str, Any], words: str) -> None:
    assert any(words in sentence for sentence in shortfalls(good_run(**change)))


def test_report_sets_each_server_beside_the_floor_and_janus() -> None:
    floor = {"viewers": 63, "train": 8, "us_per_packet": 2.5, "packets": 10, "lost": 0}
    janus = good_run(server="janus", us_per_packet=10.0, silent_viewers=4, server_wait=0.3)
    runs = [janus, good_run()]
    conditions = {"gro": False, "cpu": "2 × test", "seconds": 8.0, "took_s": 200.0}
    text = markdown({"floor": [floor], "runs": runs, "conditions": conditions})
    ours = next(line for line in text.splitlines() if "| wardcast |" in line)
    assert "| 5.00 | 2.00 | 0.50 |" in ours
    assert "janus at 63: 63 joined, 4 got nothing" in text
    assert "janus at 63: 30% of the time" in text
    assert "Every aim is met." in text
