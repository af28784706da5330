"""Layers of one picture under a virtual clock: who gets which, and no break in between."""

from __future__ import annotations

from relay.core.lanes import LaneState
from relay.core.line.layer_choice import LayerWish
from relay.core.negotiation import EXT_ABS_SEND_TIME, MediaNegotiation, ViewerNegotiation
from relay.core.rtcp import PictureLoss, encode
from tests.simulation.test_router import assert_continuous
from tests.simulation.virtual_stream import H264, Theatre, VirtualPublisher, frame_numbers


def simulcast(theatre: Theatre, **kwargs: int) -> tuple[VirtualPublisher, VirtualPublisher]:
    """Two layers, the richer first; frames of the poorer count from 1000."""
    rich = VirtualPublisher(theatre.router, **kwargs)  # type: ignore[arg-type]
    poor = VirtualPublisher(theatre.router, packets_per_frame=1, seq=9, timestamp=77, **kwargs)  # type: ignore[arg-type]
    rich.source.rid, poor.source.rid = "h", "l"
    rich.source.size, poor.source.size = (1280, 720), (320, 180)
    poor.frame = 1000 * kwargs.get("gop", 30)
    theatre.router.set_layers("video", (rich.source, poor.source))
    return rich, poor


def play_both(theatre: Theatre, frames: int, *publishers: VirtualPublisher) -> None:
    for _ in range(frames):
        for publisher in publishers:
            packets = publisher.next_frame(theatre.now_ms)
            theatre.take(theatre.router.on_packets(publisher.source, packets, theatre.now_ms))
        theatre.idle(1000 / 30)


def test_each_viewer_gets_the_layer_of_its_wish_and_only_that() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=10)
    track = theatre.router.tracks["video"]
    theatre.join(1)
    small = theatre.join(2)
    track.set_wish(small.lanes["video"], LayerWish(max_height=180), theatre.now_ms)
    play_both(theatre, 30, rich, poor)
    assert frame_numbers(theatre.received[1]) == list(range(30))
    assert frame_numbers(theatre.received[2]) == list(range(10_000, 10_030))
    assert_continuous(theatre.received[2])


def test_a_change_of_layer_waits_for_its_key_frame_and_breaks_nothing() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=20)
    track = theatre.router.tracks["video"]
    viewer = theatre.join(1)
    lane = viewer.lanes["video"]
    play_both(theatre, 5, rich, poor)
    track.set_wish(lane, LayerWish(budget_bps=10e3 * 8 * 30), theatre.now_ms)
    track.set_wish(lane, LayerWish(rid="l"), theatre.now_ms)
    assert [s.rid for s in theatre.router.take_keyframe_requests(theatre.now_ms + 600)] == ["l"]
    play_both(theatre, 25, rich, poor)
    numbers = frame_numbers(theatre.received[1])
    assert numbers == [*range(21), *range(20_020, 20_030)]
    assert_continuous(theatre.received[1])


def test_a_line_that_carries_no_layer_gets_no_picture_until_it_does() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=10)
    track = theatre.router.tracks["video"]
    lane = theatre.join(1).lanes["video"]
    play_both(theatre, 60, rich, poor)
    before = len(theatre.received[1])
    track.set_wish(lane, LayerWish(budget_bps=1000.0), theatre.now_ms)
    assert track.state_of(lane) == LaneState.WAITING
    assert track.target_of(lane) is None
    play_both(theatre, 25, rich, poor)
    assert len(theatre.received[1]) == before
    track.set_wish(lane, LayerWish(), theatre.now_ms)
    play_both(theatre, 25, rich, poor)
    numbers = frame_numbers(theatre.received[1][before:])
    assert numbers == list(range(90, 110))
    assert_continuous(theatre.received[1])


def test_held_at_once_then_on_with_the_poorer_layer() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=10)
    track = theatre.router.tracks["video"]
    lane = theatre.join(1).lanes["video"]
    play_both(theatre, 15, rich, poor)
    track.set_wish(lane, LayerWish(rid="l"), theatre.now_ms)
    track.hold(lane)
    play_both(theatre, 10, rich, poor)
    assert frame_numbers(theatre.received[1])[15:] == list(range(10_020, 10_025))
    assert_continuous(theatre.received[1])


def test_a_layer_that_goes_away_hands_its_viewers_down_and_takes_them_back() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=10)
    theatre.join(1)
    play_both(theatre, 12, rich, poor)
    theatre.router.set_layers("video", (poor.source,))
    play_both(theatre, 10, poor)
    theatre.router.set_layers("video", (rich.source, poor.source))
    play_both(theatre, 20, rich, poor)
    numbers = frame_numbers(theatre.received[1])
    assert numbers[:14] == [*range(12), 10_020, 10_021]
    assert numbers[-1] < 10_000
    assert_continuous(theatre.received[1])


def test_pictures_lost_are_asked_for_from_the_layer_that_is_sent() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=1000)
    track = theatre.router.tracks["video"]
    lane = theatre.join(1).lanes["video"]
    track.set_wish(lane, LayerWish(rid="l"), theatre.now_ms)
    play_both(theatre, 90, rich, poor)
    theatre.router.take_keyframe_requests(theatre.now_ms)
    play_both(theatre, 90, rich, poor)
    track.on_keyframe_request(lane, theatre.now_ms)
    asked = theatre.router.take_keyframe_requests(theatre.now_ms + 3000)
    assert [s.rid for s in asked] == ["l"]


def test_a_relay_takes_every_layer_by_rank() -> None:
    theatre = Theatre()
    rich, poor = simulcast(theatre, gop=10)
    extensions = {EXT_ABS_SEND_TIME: 3}
    video = MediaNegotiation(
        1,
        "1",
        "video",
        (H264,),
        extensions,
        (21, 22, 23),
        {21: 31, 22: 32, 23: 33},
        ("0", "1", "2"),
    )
    relay = theatre.router.add_viewer("relay", 9, ViewerNegotiation((video,)))
    theatre.router.start_viewer(relay, theatre.now_ms, limited=False)
    play_both(theatre, 25, rich, poor)
    by_ssrc = {
        ssrc: frame_numbers([p for p in theatre.received[9] if p.ssrc == ssrc])
        for ssrc in (21, 22, 23)
    }
    assert by_ssrc == {21: list(range(25)), 22: list(range(10_000, 10_025)), 23: []}
    asked = PictureLoss(1, 22)
    theatre.router.on_viewer_rtcp(relay, encode([asked]), theatre.now_ms + 5000)
    assert [s.rid for s in theatre.router.take_keyframe_requests(theatre.now_ms + 5000)] == ["l"]
    theatre.router.set_layers("video", (poor.source,))
    play_both(theatre, 12, poor)
    assert frame_numbers([p for p in theatre.received[9] if p.ssrc == 21])[-1] > 10_000
    theatre.router.remove_viewer(relay, theatre.now_ms)
