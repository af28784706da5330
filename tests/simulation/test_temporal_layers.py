"""Viewers who get fewer temporal layers: fewer frames, and nothing that looks like loss."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.codecs.vp8 import parse_vp8_descriptor
from relay.core.line.layer_choice import LayerWish
from relay.core.packet import MediaPacket
from relay.core.rtp import RtpView, parse_rtp
from relay.core.thinning import NO_CAP
from relay.core.viewer import Viewer
from tests.simulation.layered_stream import LAYERS, LayeredPublisher, StrictReceiver, number_of
from tests.simulation.virtual_stream import Theatre, unwrapped


def on_air(seed: int = 1, **kwargs: int) -> tuple[Theatre, LayeredPublisher]:
    theatre = Theatre(seed)
    publisher = LayeredPublisher(theatre.router, **kwargs)
    theatre.router.set_source("video", publisher.source)
    return theatre, publisher


def cap(theatre: Theatre, viewer: Viewer, highest: int) -> None:
    theatre.router.tracks["video"].set_temporal_cap(viewer.lanes["video"], highest)


def ask(theatre: Theatre, viewer: Viewer, seq: int) -> RtpView | None:
    """What a NACK for one number brings."""
    repairs = theatre.router.tracks["video"].repairs_of(viewer.lanes["video"])
    found = repairs.on_nack([seq], 0.0, theatre.now_ms)
    return parse_rtp(found[0]) if found else None


def assert_smooth(packets: Sequence[RtpView]) -> list[int]:
    """Frame numbers shown; nothing missing, nothing held back."""
    seqs = unwrapped((p.seq for p in packets), 16)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    stamps = unwrapped((p.timestamp for p in packets), 32)
    assert stamps == sorted(stamps)
    receiver = StrictReceiver()
    receiver.take(list(packets))
    assert receiver.held_back == []
    return receiver.shown


def expected(first: int, last: int, highest: int) -> list[int]:
    return [n for n in range(first, last) if LAYERS[n % 8] <= highest]


def test_each_viewer_gets_its_share_of_frames() -> None:
    theatre, publisher = on_air()
    for number in range(3):
        cap(theatre, theatre.join(number), number)
    theatre.join(3)
    theatre.play(publisher, 320)
    for number, share in enumerate((4, 2, 1, 1)):
        shown = assert_smooth(theatre.received[number])
        assert shown == expected(0, 320, number)
        assert len(shown) == 320 // share


def test_others_are_not_touched() -> None:
    theatre, publisher = on_air()
    cap(theatre, theatre.join(1), 0)
    theatre.join(2)
    sent = []
    for _ in range(20):
        packets = publisher.next_frame(theatre.now_ms)
        sent += [p.payload for p in packets]
        theatre.take(theatre.router.on_packets(publisher.source, packets, theatre.now_ms))
    assert [p.payload for p in theatre.received[2]] == sent


@pytest.mark.parametrize("picture_bits", [7, 15])
def test_lowered_at_the_next_frame_raised_where_the_codec_allows(picture_bits: int) -> None:
    theatre, publisher = on_air(picture_bits=picture_bits, picture_id=0)
    viewer = theatre.join(1)
    theatre.play(publisher, 41)
    cap(theatre, viewer, 0)
    theatre.play(publisher, 43)
    cap(theatre, viewer, NO_CAP)
    theatre.play(publisher, 36)
    shown = assert_smooth(theatre.received[1])
    # Frame 89 is the first that refers to the base layer alone: everything from there on.
    assert shown == [*range(41), *expected(41, 89, 0), *range(89, 120)]


def test_raised_step_by_step() -> None:
    theatre, publisher = on_air()
    viewer = theatre.join(1)
    cap(theatre, viewer, 0)
    theatre.play(publisher, 42)
    cap(theatre, viewer, NO_CAP)
    theatre.play(publisher, 38)
    # Frame 42 lifts to the middle layer, 49 to the whole.
    shown = assert_smooth(theatre.received[1])
    assert shown == [*expected(0, 42, 0), *expected(42, 49, 1), *range(49, 80)]


def test_numbers_go_on_from_one_source_to_another() -> None:
    theatre = Theatre()
    rich = LayeredPublisher(theatre.router, gop=40, picture_id=77, tl0=3)
    poor = LayeredPublisher(theatre.router, gop=40, picture_id=30_000, tl0=200, seq=17)
    poor.frame = 4000
    theatre.router.set_layers("video", (rich.source, poor.source))
    rich.source.rid, poor.source.rid = "h", "l"
    track = theatre.router.tracks["video"]
    whole, thinned = theatre.join(1), theatre.join(2)
    for turn in range(4):
        for viewer in (whole, thinned):
            wish = LayerWish(rid="h" if turn % 2 == 0 else "l")
            track.set_wish(viewer.lanes["video"], wish, theatre.now_ms)
        cap(theatre, thinned, 1)
        for _ in range(40):
            for publisher in (rich, poor):
                packets = publisher.next_frame(theatre.now_ms)
                theatre.take(theatre.router.on_packets(publisher.source, packets, theatre.now_ms))
            theatre.idle(33)
    # Twice both sources began a group at one instant, and one frame of each was shown.
    assert len(assert_smooth(theatre.received[1])) == 162
    assert len(assert_smooth(theatre.received[2])) == 82
    for number in (1, 2):
        found = [parse_vp8_descriptor(p.payload) for p in theatre.received[number]]
        ids = [d.picture_id for d in found if d.starts_partition and d.picture_id is not None]
        assert {(b - a) & 0x7FFF for a, b in pairwise(ids)} == {1}


def test_a_joiner_with_a_cap_is_fed_without_the_upper_layers() -> None:
    theatre, publisher = on_air()
    theatre.play(publisher, 50)
    viewer = theatre.join(1)
    cap(theatre, viewer, 1)
    late = theatre.join(2)
    theatre.play(publisher, 50)
    shown = assert_smooth(theatre.received[1])
    assert shown[-20:] == expected(0, 100, 1)[-20:]
    assert assert_smooth(theatre.received[late.peer_index])[-1] == 99
    again = theatre.join(3)
    track = theatre.router.tracks["video"]
    track.start_lane(again.lanes["video"], theatre.now_ms)
    track.hold(again.lanes["video"])
    cap(theatre, again, 0)
    track.replace_now(again.lanes["video"], publisher.source, 20e6, theatre.now_ms)
    theatre.play(publisher, 60)
    assert assert_smooth(theatre.received[3]) == expected(0, 160, 0)


@pytest.mark.parametrize("rtx", [True, False])
def test_nacks_find_their_way_back(rtx: bool) -> None:
    theatre, publisher = on_air()
    viewer = theatre.join(1, rtx=rtx)
    theatre.play(publisher, 9)
    cap(theatre, viewer, 0)
    theatre.play(publisher, 40)
    received = list(theatre.received[1])
    for packet in received:
        repair = ask(theatre, viewer, packet.seq)
        assert repair is not None
        if rtx:
            assert repair.payload == packet.seq.to_bytes(2, "big") + packet.payload
            assert repair.timestamp == packet.timestamp
        else:
            assert repair == packet
        theatre.idle(5.0)


def test_what_turns_out_to_be_above_the_cap_is_answered_by_nothing() -> None:
    theatre, publisher = on_air(packets_per_frame=1)
    viewer = theatre.join(1)
    cap(theatre, viewer, 0)
    theatre.play(publisher, 9)
    late = publisher.next_frame(theatre.now_ms)
    theatre.play(publisher, 3)
    theatre.take(theatre.router.on_packets(publisher.source, late, theatre.now_ms))
    theatre.play(publisher, 4)
    seqs = [p.seq for p in theatre.received[1]]
    (hole,) = set(range(seqs[0], seqs[-1])) - set(seqs)
    repair = ask(theatre, viewer, hole)
    assert repair is not None
    assert repair.payload == hole.to_bytes(2, "big")
    assert {number_of(p) % 4 for p in theatre.received[1] if len(p.payload) > 2} == {0}


def test_what_comes_late_and_belongs_here_fills_its_place() -> None:
    theatre, publisher = on_air(packets_per_frame=2)
    viewer = theatre.join(1)
    cap(theatre, viewer, 1)
    theatre.play(publisher, 10)
    late = publisher.next_frame(theatre.now_ms)
    theatre.play(publisher, 3)
    theatre.take(theatre.router.on_packets(publisher.source, late, theatre.now_ms))
    theatre.play(publisher, 20)
    packets = sorted(theatre.received[1], key=lambda p: (p.seq - 1) & 0xFFFF)
    assert [p.seq for p in packets] != [p.seq for p in theatre.received[1]]
    assert assert_smooth(packets) == expected(0, 34, 1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    changes=st.lists(st.tuples(st.integers(1, 25), st.sampled_from((0, 1, 2, NO_CAP))), max_size=8),
    gop=st.sampled_from((24, 10_000)),
)
def test_whatever_the_caps_nothing_is_missing(
    seed: int, changes: list[tuple[int, int]], gop: int
) -> None:
    theatre, publisher = on_air(seed, gop=gop)
    viewer, whole = theatre.join(1), theatre.join(2)
    for frames, highest in changes:
        theatre.play(publisher, frames)
        cap(theatre, viewer, highest)
    theatre.play(publisher, 20)
    assert_smooth(theatre.received[1])
    assert assert_smooth(theatre.received[whole.peer_index]) == list(range(publisher.frame))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(0, 12), rtx=st.booleans())
def test_loss_and_repairs_on_both_sides(seed: int, changes: int, rtx: bool) -> None:
    """Everything of the layers that a viewer is to have arrives, each number once."""
    rng = random.Random(seed)
    theatre, publisher = on_air(seed, gop=40)
    viewer = theatre.join(1, rtx=rtx)
    due: list[tuple[int, list[MediaPacket]]] = []
    for frame in range(160):
        if changes and rng.random() < changes / 160:
            cap(theatre, viewer, rng.choice((0, 1, 2)))
        packets = publisher.next_frame(theatre.now_ms)
        lost = [p for p in packets if frame > 0 and rng.random() < 0.05]
        due += [(frame + rng.randint(1, 3), [p]) for p in lost]
        now = [p for p in packets if p not in lost]
        now += [p for at, late in due if at == frame for p in late]
        theatre.take(theatre.router.on_packets(publisher.source, now, theatre.now_ms))
        theatre.idle(33)
    assert_repairable(theatre, viewer)


def assert_repairable(theatre: Theatre, viewer: Viewer) -> None:
    """Each number was sent once, or is answered when it is asked for."""
    seqs = [p.seq for p in theatre.received[1]]
    assert len(set(seqs)) == len(seqs)
    first, last = seqs[0], int(theatre.router.tracks["video"].table.last_seq[0]) & 0xFFFF
    span = [(first + i) & 0xFFFF for i in range(((last - first) & 0xFFFF) + 1)]
    assert set(seqs) <= set(span)
    for seq in span[:-15]:
        if seq not in set(seqs):
            assert ask(theatre, viewer, seq) is not None
            theatre.idle(5.0)
