"""The benchmark's stream is what its figures say: 2.5 Mbit/s of decodable 720p30 with Opus."""

from __future__ import annotations

from collections import Counter
from functools import cache

import av
import pytest

from tests.bench.floor import trains
from tests.bench.trace import (
    BURST_PACKETS,
    MAX_PAYLOAD_BYTES,
    Trace,
    TracePacket,
    make_trace,
    packetize_h264,
    split_annexb,
)


@cache
def whole_trace() -> Trace:
    return make_trace()


def video() -> list[TracePacket]:
    return [packet for packet in whole_trace().packets if packet.kind == "video"]


def test_rates_are_those_of_a_real_encoder() -> None:
    seconds = whole_trace().duration_ms / 1000
    bits = sum(len(packet.payload) + 12 for packet in video()) * 8 / seconds
    audio = [packet for packet in whole_trace().packets if packet.kind == "audio"]
    assert 2.2e6 < bits < 2.8e6
    assert len(audio) / seconds == 50
    assert 300 < len(whole_trace().packets) / seconds < 370


def test_a_key_frame_starts_every_two_seconds_with_its_parameter_sets() -> None:
    packets = whole_trace().packets
    starts = [packets[index] for index in whole_trace().keyframes]
    assert [start.timestamp for start in starts] == [0, 180_000]
    for start in starts:
        assert start.payload[0] & 0x1F == 24
        assert start.parameters


def test_frames_end_with_a_marker_and_have_one_timestamp() -> None:
    last_of_frame = {packet.timestamp: packet for packet in video()}
    assert len(last_of_frame) == 120
    assert all(packet.marker for packet in last_of_frame.values())
    assert sum(packet.marker for packet in video()) == 120


def test_a_frame_leaves_in_bursts() -> None:
    bursts = Counter(packet.due_ms for packet in video())
    assert max(bursts.values()) == BURST_PACKETS


def test_payloads_fit_the_line_and_differ_by_a_byte_within_a_slice() -> None:
    assert max(len(packet.payload) for packet in video()) <= MAX_PAYLOAD_BYTES
    unit = bytes([0x65]) + bytes(5000)
    sizes = {len(payload) for payload in packetize_h264([unit])}
    assert max(sizes) - min(sizes) <= 1


def test_the_payloads_decode() -> None:
    decoder = av.CodecContext.create("h264", "r")
    frames = 0
    for data in annexb_frames(video()[:200]):
        frames += len(decoder.decode(av.Packet(data)))
    assert frames > 15


def annexb_frames(packets: list[TracePacket]) -> list[bytes]:
    """The inverse of the packetiser, written independently of it."""
    frames: dict[int, bytes] = {}
    for packet in packets:
        payload = packet.payload
        kind = payload[0] & 0x1F
        if kind == 24:
            units, at = b"", 1
            while at < len(payload):
                size = int.from_bytes(payload[at : at + 2], "big")
                units += b"\0\0\0\1" + payload[at + 2 : at + 2 + size]
                at += 2 + size
        elif kind == 28:
            head = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            units = (b"\0\0\0\1" + head if payload[1] & 0x80 else b"") + payload[2:]
        else:
            units = b"\0\0\0\1" + payload
        frames[packet.timestamp] = frames.get(packet.timestamp, b"") + units
    return list(frames.values())


@pytest.mark.parametrize("start_code", [b"\0\0\1", b"\0\0\0\1"])
def test_annexb_units_are_split_at_both_start_codes(start_code: bytes) -> None:
    assert split_annexb(start_code + b"\x67ab" + start_code + b"\x68c") == [b"\x67ab", b"\x68c"]


@pytest.mark.parametrize("longest", [1, 4, 8])
def test_trains_keep_every_packet_and_their_limit(longest: int) -> None:
    groups = [group for _, group in trains(whole_trace(), longest)]
    assert max(len(group) for group in groups) == longest
    assert [packet for group in groups for packet in group] == list(whole_trace().packets)
    for group in groups:
        assert len({packet.kind for packet in group}) == 1
