"""The packet ring: bounded by count, bytes and age; duplicates and stale packets stay out."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.history import PacketHistory
from relay.core.packet import MediaPacket


def packet(seq: int, *, now_ms: float = 0.0, size: int = 10, keyframe: bool = False) -> MediaPacket:
    return MediaPacket(seq, seq * 3000, bytes(size), 96, True, keyframe, True, now_ms)


def test_duplicates_are_refused() -> None:
    history = PacketHistory(16)
    assert history.append(packet(5))
    assert not history.append(packet(5))


def test_late_packets_fill_holes_and_span_is_in_order() -> None:
    history = PacketHistory(16)
    for seq in (10, 12, 11, 14):
        assert history.append(packet(seq))
    assert [p.seq for p in history.span(0)] == [10, 11, 12, 14]
    assert [p.seq for p in history.span(12)] == [12, 14]


def test_newest_key_frame_counts_even_when_it_comes_late() -> None:
    history = PacketHistory(64)
    history.append(packet(1, keyframe=True))
    history.append(packet(6))
    history.append(packet(5, keyframe=True))
    history.append(packet(3, keyframe=True))
    assert history.keyframe is not None
    assert history.keyframe.seq == 5


def test_key_frame_that_left_the_ring_is_not_offered() -> None:
    history = PacketHistory(16)
    history.append(packet(1, keyframe=True))
    for seq in range(2, 40):
        history.append(packet(seq))
    assert history.keyframe is None
    assert history.get(39) is not None
    assert history.get(20) is None


def test_bytes_and_age_are_bounded() -> None:
    history = PacketHistory(1024, max_bytes=1000)
    for seq in range(100):
        history.append(packet(seq, size=100))
    assert history.bytes <= 1000
    history.append(packet(100, now_ms=60_000))
    assert [p.seq for p in history.span(0)] == [100]


@example([306, 369, 413])
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200))
def test_bytes_are_those_of_the_packets_kept(seqs: list[int]) -> None:
    history = PacketHistory(64)
    for seq in seqs:
        history.append(packet(seq, size=seq % 7 + 1))
    assert history.bytes == sum(len(p.payload) for p in history.span(0))
    assert history.head_seq == max(seqs[: seqs.index(history.head_seq) + 1])
