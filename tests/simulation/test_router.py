"""The forwarding core under a virtual clock: what viewers receive, whatever the publisher does."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.lanes import LaneState
from relay.core.rtcp import Nack, PictureLoss, SenderReport, encode, parse_compound
from relay.core.source import SenderReportPoint
from tests.simulation.virtual_stream import (
    H264,
    VP8,
    Theatre,
    VirtualPublisher,
    frame_numbers,
    unwrapped,
)


def assert_continuous(packets: list) -> None:
    seqs = unwrapped((p.seq for p in packets), 16)
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    stamps = unwrapped((p.timestamp for p in packets), 32)
    assert stamps == sorted(stamps)
    assert len({p.ssrc for p in packets}) == 1


def test_every_viewer_gets_every_packet_in_order_over_wraps() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", publisher.source)
    for number in range(63):
        theatre.join(number)
    theatre.play(publisher, 60)
    for number in range(63):
        packets = theatre.received[number]
        assert len(packets) == 240
        assert frame_numbers(packets) == list(range(60))
        assert_continuous(packets)
    assert len({theatre.received[n][0].ssrc for n in range(63)}) == 63


def test_payload_is_untouched_and_payload_type_is_the_viewers() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, codec=VP8)
    theatre.router.set_source("video", publisher.source)
    theatre.join(1)
    packets = publisher.next_frame(theatre.now_ms)
    theatre.take(theatre.router.on_packets(publisher.source, packets, theatre.now_ms))
    got = theatre.received[1]
    assert [p.payload for p in got] == [p.payload for p in packets]
    assert {p.payload_type for p in got} == {96}
    assert [p.marker for p in got] == [False, False, False, True]
    assert all(3 in p.extensions for p in got)


def test_joiner_starts_at_the_kept_key_frame_and_meets_the_live_edge() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=60)
    theatre.router.set_source("video", publisher.source)
    theatre.join(1)
    theatre.play(publisher, 31)
    viewer = theatre.join(2)
    joined_ms = theatre.now_ms
    theatre.idle(5)
    assert frame_numbers(theatre.received[2])[0] == 0
    theatre.play(publisher, 30)
    packets = theatre.received[2]
    assert frame_numbers(packets) == list(range(61))
    assert_continuous(packets)
    assert theatre.router.tracks["video"].state_of(viewer.lanes["video"]) == LaneState.LIVE
    stamps = unwrapped((p.timestamp for p in packets), 32)
    # Had the burst kept the filmed spacing it would span 61 frames; in fast motion it spans no
    # more than the time that has passed since the viewer joined.
    assert (stamps[-1] - stamps[0]) / 90 <= theatre.now_ms - joined_ms + 1
    assert theatre.router.tracks["video"].source.keyframes.counters.cache_served >= 1


def test_new_key_frame_ends_a_burst() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=30)
    theatre.router.set_source("video", publisher.source)
    theatre.play(publisher, 30)
    theatre.join(2)
    theatre.take(theatre.router.poll(theatre.now_ms))
    theatre.play(publisher, 5)
    numbers = frame_numbers(theatre.received[2])
    assert numbers[0] == 0
    assert numbers[-5:] == [30, 31, 32, 33, 34]
    assert_continuous(theatre.received[2])


def test_publisher_change_is_a_splice_at_the_new_key_frame() -> None:
    theatre = Theatre()
    first = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", first.source)
    viewers = [theatre.join(n) for n in range(5)]
    theatre.play(first, 12)
    second = VirtualPublisher(theatre.router, codec=VP8, seq=7, timestamp=99, gop=10)
    second.frame = 1005
    theatre.router.set_source("video", second.source)
    theatre.play(first, 2)
    theatre.play(second, 20)
    for viewer in viewers:
        packets = theatre.received[viewer.peer_index]
        # the old picture goes on until the new one has a key frame (1010), then no gap at all
        assert frame_numbers(packets) == [*range(14), *range(1010, 1025)]
        assert_continuous(packets)
        assert packets[-1].payload_type == 96
        stamps = unwrapped((p.timestamp for p in packets), 32)
        pause = max(b - a for a, b in itertools.pairwise(stamps))
        assert pause == pytest.approx(6 * 3000, rel=0.05)


def test_viewer_without_the_codec_is_left_out_and_comes_back() -> None:
    theatre = Theatre()
    first = VirtualPublisher(theatre.router, gop=5)
    theatre.router.set_source("video", first.source)
    theatre.join(1, codecs=(H264,))
    theatre.play(first, 5)
    vp8 = VirtualPublisher(theatre.router, codec=VP8, gop=5)
    theatre.router.set_source("video", vp8.source)
    theatre.play(vp8, 10)
    assert len(theatre.received[1]) == 20
    third = VirtualPublisher(theatre.router, gop=5)
    theatre.router.set_source("video", third.source)
    theatre.play(third, 5)
    assert len(theatre.received[1]) == 40
    assert_continuous(theatre.received[1])


def nack(theatre: Theatre, viewer, seqs: list[int]) -> list:
    lane = viewer.lanes["video"]
    data = encode([Nack(1, lane.ssrc, tuple(seqs))])
    before = len(theatre.received[viewer.peer_index])
    theatre.take(theatre.router.on_viewer_rtcp(viewer, data, theatre.now_ms))
    return theatre.received[viewer.peer_index][before:]


def test_nack_is_answered_over_rtx_with_the_original_number_and_timestamp() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", publisher.source)
    viewer = theatre.join(1)
    theatre.play(publisher, 10)
    lost = theatre.received[1][17]
    (repair,) = nack(theatre, viewer, [lost.seq])
    assert repair.ssrc == viewer.lanes["video"].rtx_ssrc
    assert repair.payload_type == 103
    assert repair.payload == lost.seq.to_bytes(2, "big") + lost.payload
    assert repair.timestamp == lost.timestamp
    assert nack(theatre, viewer, [lost.seq]) == []  # still on its way
    theatre.now_ms += 100
    assert len(nack(theatre, viewer, [lost.seq])) == 1


def test_nack_reaches_back_over_a_splice_and_into_a_join_burst() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=60)
    theatre.router.set_source("video", publisher.source)
    theatre.play(publisher, 20)
    viewer = theatre.join(1)
    theatre.play(publisher, 20)
    second = VirtualPublisher(theatre.router, gop=5)
    theatre.router.set_source("video", second.source)
    theatre.play(second, 5)
    sample = random.Random(3).sample(list(theatre.received[1]), 12)
    for lost in sample:
        (repair,) = nack(theatre, viewer, [lost.seq])
        assert repair.payload[2:] == lost.payload
        assert repair.timestamp == lost.timestamp


def test_resend_without_rtx_is_identical_to_the_byte() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", publisher.source)
    viewer = theatre.join(1, rtx=False)
    theatre.play(publisher, 10)
    for lost in theatre.received[1][4:12]:
        theatre.now_ms += 50
        assert nack(theatre, viewer, [lost.seq]) == [lost]


def test_nack_for_what_never_was_is_counted_and_ignored() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", publisher.source)
    viewer = theatre.join(1)
    theatre.play(publisher, 2)
    last = theatre.received[1][-1].seq
    assert nack(theatre, viewer, [(last + 500) & 0xFFFF]) == []
    drops = theatre.router.tracks["video"].repairs_of(viewer.lanes["video"]).drops
    assert drops["nack_not_in_history"] == 1


def pli(theatre: Theatre, viewer) -> None:
    data = encode([PictureLoss(1, viewer.lanes["video"].ssrc)])
    theatre.take(theatre.router.on_viewer_rtcp(viewer, data, theatre.now_ms))


def test_many_picture_loss_indications_make_one_request() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=1000)
    theatre.router.set_source("video", publisher.source)
    viewers = [theatre.join(n) for n in range(63)]
    theatre.play(publisher, 150)
    for viewer in viewers:
        pli(theatre, viewer)
    requests = theatre.router.take_keyframe_requests(theatre.now_ms)
    assert requests == [publisher.source]
    assert theatre.router.take_keyframe_requests(theatre.now_ms) == []
    counters = publisher.source.keyframes.counters
    assert (counters.sent, counters.suppressed) == (1, 62)


def test_publisher_that_cannot_be_asked_serves_a_lost_viewer_from_the_cache() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=1000, can_request_keyframe=False)
    theatre.router.set_source("video", publisher.source)
    viewer = theatre.join(1)
    theatre.play(publisher, 40)
    before = len(theatre.received[1])
    pli(theatre, viewer)
    theatre.play(publisher, 40)
    assert frame_numbers(theatre.received[1][before:]) == list(range(80))
    assert_continuous(theatre.received[1])
    assert theatre.router.take_keyframe_requests(theatre.now_ms) == []


def test_overflow_gates_one_viewer_to_the_next_key_frame_and_harms_no_other() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=20)
    theatre.router.set_source("video", publisher.source)
    slow, good = theatre.join(1), theatre.join(2)
    theatre.play(publisher, 5)
    theatre.router.on_overflow(slow, theatre.now_ms)
    theatre.play(publisher, 20)
    assert frame_numbers(theatre.received[1]) == [*range(5), *range(20, 25)]
    assert_continuous(theatre.received[1])
    assert frame_numbers(theatre.received[good.peer_index]) == list(range(25))


def test_removed_viewer_gets_nothing_and_its_lane_is_used_again() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=5)
    theatre.router.set_source("video", publisher.source)
    gone = theatre.join(1)
    theatre.play(publisher, 3)
    theatre.router.remove_viewer(gone, theatre.now_ms)
    theatre.router.remove_viewer(gone, theatre.now_ms)
    theatre.play(publisher, 3)
    assert len(theatre.received[1]) == 12
    for number in range(2, 300):
        viewer = theatre.join(number)
        theatre.router.remove_viewer(viewer, theatre.now_ms)
    assert len(theatre.router.tracks["video"].table.lanes) <= 64


def test_sender_reports_place_both_tracks_on_one_clock() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", publisher.source)
    viewer = theatre.join(1)
    theatre.play(publisher, 10)
    frame_ts = publisher.timestamp - 3000
    sent_ms = theatre.now_ms - 1000 / 30
    publisher.source.on_sender_report(SenderReportPoint(1000.0, frame_ts, sent_ms + 20))
    publisher.source.on_sender_report(SenderReportPoint(1000.0, frame_ts, sent_ms))
    theatre.idle(500)
    ((who, data),) = theatre.router.take_sender_reports(theatre.now_ms, 5000.0)
    assert who is viewer
    report = next(p for p in parse_compound(data) if isinstance(p, SenderReport))
    last = theatre.received[1][-1].timestamp
    elapsed = (report.rtp_timestamp - last) & 0xFFFFFFFF
    assert elapsed == pytest.approx((theatre.now_ms - sent_ms) * 90, abs=2)
    assert report.packet_count == 40


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.2))
def test_reordering_duplicates_and_loss_never_break_the_numbering(
    seed: int, loss: float, duplicate: float, reorder: float
) -> None:
    """Each payload keeps one output number, order of numbers is order of filming, nothing twice."""
    rng = random.Random(seed)
    theatre = Theatre(seed)
    publisher = VirtualPublisher(theatre.router, gop=7, seq=rng.randrange(65536))
    theatre.router.set_source("video", publisher.source)
    for number in range(4):
        theatre.join(number)
    flight = []
    for _ in range(40):
        for packet in publisher.next_frame(theatre.now_ms):
            if rng.random() >= loss:
                flight += [packet] * (2 if rng.random() < duplicate else 1)
        if rng.random() < reorder:
            rng.shuffle(flight)
            flight, held = flight[: len(flight) // 2], flight[len(flight) // 2 :]
        else:
            held = []
        if flight:
            theatre.take(theatre.router.on_packets(publisher.source, flight, theatre.now_ms))
        flight = held
        theatre.idle(33)
        if rng.random() < 0.1:
            theatre.join(4 + len(theatre.router.viewers))
    for packets in theatre.received.values():
        seqs = unwrapped((p.seq for p in packets), 16)
        assert len(set(seqs)) == len(seqs)
        by_seq = sorted(zip(seqs, packets, strict=True), key=lambda item: item[0])
        order = [int.from_bytes(p.payload[:4], "big") * 256 + p.payload[4] for _, p in by_seq]
        starts = [i for i, (a, b) in enumerate(itertools.pairwise(order)) if b <= a]
        assert not starts


def test_viewers_that_wait_too_long_for_a_new_source_make_it_send_a_key_frame() -> None:
    theatre = Theatre()
    first = VirtualPublisher(theatre.router)
    theatre.router.set_source("video", first.source)
    theatre.join(1)
    theatre.play(first, 5)
    second = VirtualPublisher(theatre.router, gop=1000)
    second.frame = 1  # its key frame was lost
    theatre.router.set_source("video", second.source)
    asked_after: list[float] = []
    start_ms = theatre.now_ms
    for _ in range(15):
        theatre.play(second, 1)
        theatre.router.ask_for_waiting(theatre.now_ms)
        if theatre.router.take_keyframe_requests(theatre.now_ms):
            asked_after.append(theatre.now_ms - start_ms)
            second.frame = 1000
    assert len(asked_after) == 1
    assert 200 <= asked_after[0] <= 300
    assert frame_numbers(theatre.received[1])[5] == 1000
    assert_continuous(theatre.received[1])


def test_an_encoder_that_makes_key_frames_only_when_asked_is_asked_now_and_then() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=10_000)
    theatre.router.set_source("video", publisher.source)
    theatre.join(1)
    asked_ms: list[float] = []
    for _ in range(30 * 16):
        theatre.play(publisher, 1)
        theatre.router.ask_for_waiting(theatre.now_ms)
        if theatre.router.take_keyframe_requests(theatre.now_ms):
            asked_ms.append(theatre.now_ms)
            publisher.frame = 10_000 * len(asked_ms)
    gaps = [b - a for a, b in itertools.pairwise(asked_ms)]
    assert len(asked_ms) == 3
    assert all(5900 < gap < 6300 for gap in gaps)


def test_an_encoder_with_short_groups_is_not_asked() -> None:
    theatre = Theatre()
    publisher = VirtualPublisher(theatre.router, gop=60)
    theatre.router.set_source("video", publisher.source)
    for _ in range(30 * 8):
        theatre.play(publisher, 1)
        theatre.router.ask_for_waiting(theatre.now_ms)
        assert theatre.router.take_keyframe_requests(theatre.now_ms) == []
