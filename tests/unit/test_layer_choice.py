"""Which layers there are, how they rank, and which one a viewer gets."""

from __future__ import annotations

import pytest

from relay.core.line.layer_choice import LayerChoice, LayerWish, Reason, choose_layer, rank, rate_of
from relay.core.line.live_layers import STALLED_MS, live_layers
from relay.core.negotiation import CodecParameters
from relay.core.packet import MediaPacket
from relay.core.source import Source
from relay.core.thinning import NO_CAP

VP8 = CodecParameters(96, "VP8", 90_000)


def layer(number: int, rid: str, height: int, wire_bps: float) -> Source:
    source = Source(number, "video", VP8, can_request_keyframe=True, rid=rid)
    source.size = (height * 16 // 9, height)
    source.bitrate_bps = wire_bps
    source._wire_bps[0] = wire_bps
    return source


H, M, L = layer(1, "h", 720, 2e6), layer(2, "m", 360, 400e3), layer(3, "l", 180, 90e3)
LAYERS = (H, M, L)


def test_layers_rank_by_size_whatever_their_order() -> None:
    assert rank([L, H, M]) == LAYERS


def test_layers_of_one_size_rank_by_bitrate_and_do_not_flap() -> None:
    poor, rich = layer(4, "a", 720, 1.0e6), layer(5, "b", 720, 1.2e6)
    assert rank([poor, rich]) == (poor, rich)
    rich.bitrate_bps = 1.5e6
    assert rank([poor, rich]) == (rich, poor)
    poor.bitrate_bps = 1.7e6
    assert rank([poor, rich], before=(rich, poor)) == (rich, poor)


@pytest.mark.parametrize(
    ("wish", "source", "reason"),
    [
        (LayerWish(), H, Reason.PUBLISHER),
        (LayerWish(budget_bps=1e6), M, Reason.LINE),
        (LayerWish(budget_bps=100e3), L, Reason.LINE),
        (LayerWish(budget_bps=50e3), None, Reason.LINE),
        (LayerWish(max_height=360), M, Reason.SIZE),
        (LayerWish(max_height=400), M, Reason.SIZE),
        (LayerWish(max_height=500), H, Reason.PUBLISHER),
        (LayerWish(max_height=100), L, Reason.SIZE),
        (LayerWish(rid="l"), L, Reason.SIZE),
        (LayerWish(pinned_rid="m", rid="l", max_height=100), M, Reason.PIN),
        (LayerWish(pinned_rid="h", budget_bps=1e6), M, Reason.LINE),
        (LayerWish(pinned_rid="gone"), H, Reason.PUBLISHER),
    ],
)
def test_choice(wish: LayerWish, source: Source | None, reason: Reason) -> None:
    choice = choose_layer(LAYERS, wish)
    assert (choice.source, choice.reason) == (source, reason)


def test_what_is_being_sent_is_kept_a_little_longer() -> None:
    wish = LayerWish(budget_bps=rate_of(M) * 0.95)
    assert choose_layer(LAYERS, wish, LayerChoice(M, Reason.LINE)).source is M
    assert choose_layer(LAYERS, wish, LayerChoice(H, Reason.LINE)).source is L


def test_frames_are_left_out_of_the_lowest_layer_before_the_picture_goes() -> None:
    low = layer(3, "l", 180, 0.0)
    low._wire_bps[:3] = [40e3, 20e3, 30e3]
    low.top_temporal_id = 2
    layers = (H, low)
    caps = {
        budget: (choice.source, choice.cap)
        for budget in (100e3, 70e3, 50e3, 30e3)
        for choice in (choose_layer(layers, LayerWish(budget_bps=budget)),)
    }
    assert caps == {100e3: (low, NO_CAP), 70e3: (low, 1), 50e3: (low, 0), 30e3: (None, NO_CAP)}


def test_a_layer_not_measured_yet_is_guessed_from_its_size() -> None:
    fresh = layer(9, "h", 720, 0.0)
    assert 1e6 < rate_of(fresh) < 3e6


def feed(source: Source, seq: int, now_ms: float, *, keyframe: bool = False) -> None:
    source.append(MediaPacket(seq, seq * 3000, bytes(100), 96, True, keyframe, True, now_ms))


def test_a_layer_that_falls_silent_while_others_go_on_is_out() -> None:
    high, low = layer(1, "h", 720, 2e6), layer(2, "l", 180, 90e3)
    feed(high, 0, 1000.0, keyframe=True)
    feed(low, 0, 1000.0, keyframe=True)
    assert live_layers([high, low], ()) == (high, low)
    feed(low, 1, 1000.0 + STALLED_MS + 1)
    assert live_layers([high, low], (high, low)) == (low,)
    feed(high, 1, 1000.0 + STALLED_MS + 20)
    assert live_layers([high, low], (low,)) == (high, low)


def test_all_silent_together_stay() -> None:
    high, low = layer(1, "h", 720, 2e6), layer(2, "l", 180, 90e3)
    feed(high, 0, 1000.0, keyframe=True)
    feed(low, 0, 1010.0, keyframe=True)
    assert live_layers([high, low], ()) == (high, low)


def test_a_layer_counts_from_its_first_key_frame_unless_there_is_no_other() -> None:
    high, low = layer(1, "h", 720, 2e6), layer(2, "l", 180, 90e3)
    feed(high, 0, 1000.0)
    assert live_layers([high, low], ()) == (high,)
    feed(low, 0, 1000.0, keyframe=True)
    assert live_layers([high, low], ()) == (low,)


def test_the_newest_source_of_a_rid_counts() -> None:
    old, new = layer(1, "h", 720, 2e6), layer(7, "h", 720, 2e6)
    feed(old, 0, 1000.0, keyframe=True)
    feed(new, 0, 1000.0, keyframe=True)
    assert live_layers([new, old], (old,)) == (new,)
