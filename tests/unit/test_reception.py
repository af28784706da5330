"""Reception statistics and report blocks."""

import pytest

from relay.core.reception import ReceptionStats, SlidingRate


def video() -> ReceptionStats:
    return ReceptionStats(7, 90_000)


def test_report_block_counts_losses_of_the_interval() -> None:
    stats = video()
    for seq in range(65536 + 100, 65536 + 200):
        if seq % 4:
            stats.on_wire(seq, repair=False)
    block = stats.report_block(0.0)
    assert (block.ssrc, block.highest_seq) == (7, 199)
    assert block.packets_lost == 24  # 100 itself came before counting began
    assert block.fraction_lost == 24 * 256 // 99
    for seq in range(65536 + 200, 65536 + 300):
        stats.on_wire(seq, repair=False)
    block = stats.report_block(1000.0)
    assert (block.fraction_lost, block.packets_lost, block.highest_seq) == (0, 24, 299)


def test_highest_sequence_counts_cycles() -> None:
    stats = video()
    stats.on_wire(65536 + 65535, repair=False)
    stats.on_wire(65536 * 2, repair=False)
    assert stats.report_block(0.0).highest_seq == 65536


def test_repairs_lower_the_loss_that_viewers_feel_only() -> None:
    stats = video()
    for seq in (65546, 65549):
        stats.on_wire(seq, repair=False)
    stats.on_wire(65547, repair=True)
    assert (stats.lost, stats.lost_on_wire, stats.rtx_received) == (1, 2, 1)
    assert stats.report_block(0.0).packets_lost == 2


def test_reordering_is_no_loss() -> None:
    stats = video()
    for seq in (65540, 65542, 65539, 65541):
        stats.on_wire(seq, repair=False)
    assert stats.lost == 0
    assert stats.report_block(0.0).packets_lost == 0


def test_jitter_follows_appendix_a8() -> None:
    stats = video()
    # The second packet comes 10 ms later than its timestamp says: D = 900 ticks, J = 900 / 16.
    stats.on_media(0, 100, 0.0, keyframe=False, repair=False)
    stats.on_media(3000, 100, 1000 / 30 + 10, keyframe=False, repair=False)
    assert stats.jitter == pytest.approx(900 / 16, abs=0.5)
    assert stats.jitter_ms == pytest.approx(10 / 16, abs=0.01)
    stats.on_media(0, 100, 500.0, keyframe=False, repair=True)
    assert stats.jitter_ms == pytest.approx(10 / 16, abs=0.01)


def test_delay_since_last_sender_report() -> None:
    stats = video()
    stats.on_wire(65536, repair=False)
    assert stats.report_block(10.0).delay_since_last_sr == 0
    stats.on_sender_report(0x12345678, 100.0)
    block = stats.report_block(600.0)
    assert (block.last_sr, block.delay_since_last_sr) == (0x12345678, 32768)


def test_rates_over_the_last_second_fall_to_zero() -> None:
    stats = video()
    for frame in range(60):
        now = 5000 + frame * 1000 / 30
        for _ in range(4):
            stats.on_media(frame * 3000, 1000, now, keyframe=False, repair=False)
    assert stats.bitrate_bps == pytest.approx(30 * 4 * 8000, rel=0.06)
    assert stats.fps == pytest.approx(30, rel=0.06)
    stats.advance(9000.0)
    assert (stats.bitrate_bps, stats.fps) == (0, 0)


def test_frame_sizes() -> None:
    stats = video()
    for frame in range(20):
        key = frame % 10 == 0
        for part in range(10 if key else 1):
            stats.on_media(
                frame * 3000, 1000, frame * 33.0, keyframe=key and part == 0, repair=False
            )
    assert (stats.frames, stats.keyframes) == (20, 2)
    assert (stats.last_keyframe_bytes, stats.keyframe_bytes) == (10_000, 10_000)
    assert 1000 <= stats.frame_bytes < 10_000
    assert stats.last_keyframe_ms == 330.0


def test_a_young_rate_is_not_overestimated() -> None:
    rate = SlidingRate()
    assert rate.per_second(0.0) == 0
    rate.add(100, 1000.0)
    assert rate.per_second(1000.0) == 400
    rate.add(100, 1500.0)
    assert rate.per_second(1500.0) == 400
