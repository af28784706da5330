"""The queue of a slow connection: bounded, voice first, video dropped up to the next key frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.transport.tcp_framing import FrameParser
from relay.transport.tcp_queue import (
    MAX_CONTROL_BYTES,
    MAX_VIDEO_BYTES,
    MAX_VIDEO_MS,
    MAX_VOICE_BYTES,
    MAX_VOICE_MS,
    FrameQueue,
    Lane,
    lane_of,
)

CHUNK = 16 * 1024
PACKET = bytes(1000)


class Told:
    """What a queue reports."""

    def __init__(self) -> None:
        self.dropped = 0
        self.gates = 0
        self.queue = FrameQueue(self.on_overflow)

    def on_overflow(self, packets: int, gate: bool) -> None:
        self.dropped += packets
        self.gates += gate

    def taken(self, now_ms: float = 0.0) -> list[bytes]:
        """Everything that waits, as the other side reads it."""
        parser = FrameParser()
        out: list[bytes] = []
        while True:
            data, count = self.queue.take(CHUNK, now_ms)
            if not count:
                return out
            got = parser.feed(data)
            assert len(got) == count
            out += got

    def fill(self, packets: int, now_ms: float = 0.0) -> None:
        for _ in range(packets):
            self.queue.push(PACKET, Lane.VIDEO, now_ms)


def test_lanes_are_told_by_the_clear_header() -> None:
    voice = frozenset({0x01020304})
    rtp = b"\x80\x6f\0\0\0\0\0\0\x01\x02\x03\x04" + bytes(20)
    assert lane_of(rtp, voice) is Lane.VOICE
    assert lane_of(rtp, frozenset()) is Lane.VIDEO
    assert lane_of(b"\x80\xc8" + rtp[2:], voice) is Lane.CONTROL
    assert lane_of(b"\x16\xfe\xfd" + bytes(40), voice) is Lane.CONTROL
    assert lane_of(b"\0\x01" + bytes(18), voice) is Lane.CONTROL
    assert lane_of(b"\x80", voice) is Lane.CONTROL


def test_control_goes_first_then_voice_then_video() -> None:
    told = Told()
    for lane in (Lane.VIDEO, Lane.VOICE, Lane.CONTROL, Lane.VIDEO):
        told.queue.push(bytes([lane]), lane, 0.0)
    assert told.taken() == [b"\0", b"\1", b"\2", b"\2"]


def test_a_chunk_is_bounded_but_never_empty() -> None:
    told = Told()
    told.fill(40)
    data, count = told.queue.take(CHUNK, 0.0)
    assert count == CHUNK // (len(PACKET) + 2)
    assert len(data) <= CHUNK
    assert told.queue.take(1, 0.0)[1] == 1


def test_too_many_bytes_cost_all_waiting_video_and_gate_once() -> None:
    told = Told()
    told.queue.push(b"voice", Lane.VOICE, 0.0)
    told.fill(MAX_VIDEO_BYTES // len(PACKET) + 50)
    assert told.gates == 1
    assert told.queue.choked
    assert told.taken() == [b"voice"]
    assert told.dropped == MAX_VIDEO_BYTES // len(PACKET) + 50


def test_video_that_waited_too_long_goes_at_the_next_push_or_take() -> None:
    told = Told()
    told.fill(3)
    assert told.queue.push(PACKET, Lane.VIDEO, MAX_VIDEO_MS)
    assert not told.queue.push(PACKET, Lane.VIDEO, MAX_VIDEO_MS + 1)
    assert (told.dropped, told.gates) == (5, 1)
    waiting = Told()
    waiting.fill(3)
    assert waiting.taken(MAX_VIDEO_MS + 1) == []
    assert (waiting.dropped, waiting.gates) == (3, 1)


def test_a_reader_that_never_comes_back_gates_once() -> None:
    told = Told()
    for second in range(60):
        told.fill(300, second * 1000.0)
    assert told.gates == 1
    assert len(told.queue) == 0


def test_a_key_frame_that_was_lost_meanwhile_is_gated_again_at_the_end() -> None:
    told = Told()
    told.fill(300)
    told.fill(30, 900.0)
    assert told.gates == 1
    told.queue.on_empty()
    assert told.gates == 2
    assert not told.queue.choked
    assert told.queue.push(PACKET, Lane.VIDEO, 901.0)
    told.queue.on_empty()
    assert told.gates == 2


def test_voice_stays_through_the_choke_and_only_the_old_goes() -> None:
    told = Told()
    told.fill(300)
    for i in range(100):
        told.queue.push(bytes([i]) * 100, Lane.VOICE, i * 20.0)
    kept = told.taken(99 * 20.0)
    assert [packet[0] for packet in kept] == list(range(100 - int(MAX_VOICE_MS / 20) - 1, 100))


lanes = st.sampled_from(list(Lane))
steps = st.lists(st.tuples(lanes, st.integers(1, 1500), st.floats(0, 200)), max_size=300)


@given(steps, st.integers(0, 40))
def test_bounds_hold_whatever_comes(pushes: list[tuple[Lane, int, float]], every: int) -> None:
    told = Told()
    now_ms, taken = 0.0, 0
    for i, (lane, size, wait_ms) in enumerate(pushes):
        now_ms += wait_ms
        told.queue.push(bytes(size), lane, now_ms)
        if every and i % every == 0:
            taken += told.queue.take(CHUNK, now_ms)[1]
        limit = MAX_VIDEO_BYTES + MAX_VOICE_BYTES + MAX_CONTROL_BYTES
        assert told.queue.octets <= limit
    assert taken + len(told.queue) + told.dropped == len(pushes)
