"""Leaving out temporal layers: no hole, no number twice, and a way back for NACKs."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.packet import MediaPacket
from relay.core.thinning import NO_CAP, ClosedUp, PictureId, Thinning

PATTERN = (0, 2, 1, 2)
BITS = 15


def layered(
    frames: int, sizes: random.Random, seq: int = 65_530, picture: int = 32_760
) -> list[tuple[MediaPacket, PictureId]]:
    """Frames of one to four packets in layers T0 T2 T1 T2."""
    stream = []
    for frame in range(frames):
        for i in range(count := sizes.randint(1, 4)):
            packet = MediaPacket(
                seq, 3000 * frame, b"x", 96, i == count - 1, False, i == 0, 0.0,
                temporal_id=PATTERN[frame % 4],
            )  # fmt: skip
            stream.append((packet, PictureId((picture + frame) & 0x7FFF, BITS)))
            seq += 1
    return stream


def test_worked_example() -> None:
    thinning = Thinning(1)
    places = {}
    for seq, layer in zip(range(10, 15), (0, 2, 1, 2, 0), strict=True):
        packet = MediaPacket(seq, seq, b"x", 96, True, False, True, 0.0, temporal_id=layer)
        thinning.on_packet(packet)
        places[seq] = thinning.place(seq) if thinning.keeps(packet) else None
    assert places == {10: 10, 11: None, 12: 11, 13: None, 14: 12}
    assert [thinning.source_seq(number) for number in (10, 11, 12)] == [10, 12, 14]
    assert thinning.left_out == 2


def test_without_loss_numbers_and_picture_ids_follow_each_other() -> None:
    for cap, share in ((0, 4), (1, 2)):
        thinning = Thinning(cap)
        numbers, pictures = [], []
        for packet, picture in layered(400, random.Random(cap)):
            thinning.on_packet(packet, picture)
            if thinning.keeps(packet):
                numbers.append(thinning.place(packet.seq))
                if packet.frame_start:
                    pictures.append(thinning.picture_place(picture))
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(pictures) == 400 // share
        steps = {(b - a) & 0x7FFF for a, b in pairwise(pictures)}
        assert steps == {1}
        assert thinning.left_out == 400 - len(pictures)


def test_a_packet_lost_inside_a_frame_that_is_left_out_leaves_no_place() -> None:
    thinning = Thinning(0)
    for seq, layer, timestamp in ((1, 0, 0), (2, 2, 3), (4, 2, 3), (5, 0, 6)):
        thinning.on_packet(
            MediaPacket(seq, timestamp, b"x", 96, False, False, False, 0.0, temporal_id=layer)
        )
    assert [thinning.place(seq) for seq in (1, 5)] == [1, 2]


def test_late_and_above_the_cap_leaves_its_place_empty() -> None:
    thinning = Thinning(0)
    first = MediaPacket(1, 0, b"x", 96, True, False, True, 0.0)
    late = MediaPacket(2, 3, b"x", 96, True, False, True, 0.0, temporal_id=2)
    third = MediaPacket(3, 6, b"x", 96, True, False, True, 0.0)
    for packet in (first, third, late):
        thinning.on_packet(packet)
    assert [thinning.keeps(p) for p in (first, late, third)] == [True, False, True]
    assert thinning.place(3) == 3
    assert thinning.source_seq(2) == 2


def test_no_cap_changes_nothing() -> None:
    thinning = Thinning.of(NO_CAP, layered(40, random.Random(2)))
    for packet, picture in layered(40, random.Random(2)):
        assert thinning.keeps(packet)
        assert thinning.place(packet.seq) == packet.seq
        assert thinning.picture_place(picture) == picture.value


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    cap=st.integers(0, 2),
    loss=st.sampled_from((0.0, 0.02, 0.2)),
    reorder=st.integers(0, 30),
)
def test_loss_and_disorder(seed: int, cap: int, loss: float, reorder: int) -> None:
    rng = random.Random(seed)
    stream = layered(120, rng)
    # A packet may come up to `reorder` places late, and some of those lost never.
    lost = {p.seq for p, _ in stream if rng.random() < loss}
    repaired = {seq for seq in lost if rng.random() < 0.5}
    order = sorted(
        (i + (reorder if p.seq in repaired else rng.choice((0, 0, 0, min(reorder, 2)))), i)
        for i, (p, _) in enumerate(stream)
        if p.seq not in lost - repaired
    )
    thinning = Thinning(cap)
    given_numbers: dict[int, int] = {}
    for _, i in order:
        packet, picture = stream[i]
        thinning.on_packet(packet, picture)
        if thinning.keeps(packet):
            assert packet.temporal_id <= cap
            given_numbers[packet.seq] = thinning.place(packet.seq)
    arrived = [stream[i] for _, i in order]
    wanted = {p.seq for p, _ in arrived if p.temporal_id <= cap}
    assert set(given_numbers) == wanted
    for seq, number in given_numbers.items():
        assert thinning.place(seq) == number
        assert thinning.source_seq(number) == seq
    ordered = [given_numbers[seq] for seq in sorted(given_numbers)]
    assert ordered == sorted(set(ordered))
    came = {p.seq: n for n, (p, _) in enumerate(arrived)}
    for hole in set(range(ordered[0], ordered[-1])) - set(ordered):
        seq = thinning.source_seq(hole)
        later = [s for s in came if s > seq and came[s] < came.get(seq, len(came))]
        assert seq in lost or later, "a hole that nobody had reason to keep"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=200))
def test_closed_up_is_its_own_inverse(steps: list[tuple[int, bool]]) -> None:
    closed, number, kept = ClosedUp(), 0, []
    for step, remove in steps:
        number += step
        if remove:
            assert closed.remove(number, number)
            assert not closed.remove(number, number)
        else:
            closed.keep(number)
            kept.append(number)
    places = [closed.place(n) for n in kept]
    assert [closed.source_of(place) for place in places] == kept
    assert len(set(places)) == len(kept)


def test_old_numbers_are_forgotten_and_new_ones_stay_right() -> None:
    closed = ClosedUp()
    places = {}
    for number in range(60_000):
        if number % 2:
            assert closed.remove(number, number)
        else:
            closed.keep(number)
            places[number] = closed.place(number)
    recent = list(places)[-2000:]
    assert [closed.place(n) for n in recent] == [n // 2 for n in recent]
    assert [closed.source_of(places[n]) for n in recent] == recent
    assert len(closed._removed) <= 3 * 8192
