"""A sender that begins anew is a new source; a stray packet is not a new sender."""

import pytest

from relay.core.drops import DropReason
from relay.core.ingest import EVICTABLE_AFTER_MS, FORGET_AFTER_MS
from relay.core.negotiation import CodecParameters
from relay.core.rtcp import (
    Bye,
    RtcpPacket,
    SenderReport,
    UnknownRtcp,
    encode,
    ntp_from_seconds,
)
from tests.unit.ingest_fixtures import (
    AUDIO_SSRC,
    FULL_FEEDBACK,
    OPUS_PT,
    VIDEO_SSRC,
    VP8,
    VP8_DELTA,
    VP8_KEY,
    Sender,
    ingest,
    negotiation,
)


def test_a_new_ssrc_is_a_new_source_and_the_old_one_goes() -> None:
    target = ingest()
    target.on_rtp(Sender(1).frame(VP8_KEY), 0.0)
    ((fresh, _),) = target.on_rtp(Sender(2).frame(VP8_KEY), 100.0)
    assert [source.ssrc for source in target.sources] == [1, 2]
    target.on_rtp(Sender(2, seq=1001).frame(VP8_DELTA), EVICTABLE_AFTER_MS)
    target.poll_rtcp(EVICTABLE_AFTER_MS + 1)
    assert target.sources == (fresh,)


def test_a_sequence_jump_loses_nothing_of_the_new_stream() -> None:
    target = ingest()
    ((old, _),) = target.on_rtp(Sender().frame(VP8_KEY), 0.0)
    again = Sender(seq=30_000, timestamp=5_000_000)
    key, delta = again.frame(VP8_KEY, VP8_DELTA)
    assert target.on_rtp([key], 50.0) == []
    out = target.on_rtp([delta], 51.0)
    assert [packet.payload for _, packet in out] == [VP8_KEY, VP8_DELTA]
    assert {source for source, _ in out} == set(target.sources)
    assert old not in target.sources
    assert out[0][1].keyframe
    assert +target.drops == {}


def test_a_stray_packet_restarts_nothing() -> None:
    target = ingest()
    sender = Sender()
    ((source, _),) = target.on_rtp(sender.frame(VP8_KEY), 0.0)
    target.on_rtp([Sender(seq=40_000).packet(), Sender(seq=50_000).packet()], 1.0)
    assert [s for s, _ in target.on_rtp(sender.frame(VP8_DELTA), 2.0)] == [source]
    assert target.drops == {DropReason.TOO_OLD: 2}


@pytest.mark.parametrize(
    ("ticks", "restarts"),
    [(-90_000 * 3, True), (90_000 * 60, True), (-90_000, False), (90_000 * 5, False)],
)
def test_a_timestamp_jump_in_sequence_is_a_restart(ticks: int, restarts: bool) -> None:
    target = ingest()
    sender = Sender(timestamp=90_000_000)
    ((old, _),) = target.on_rtp(sender.frame(VP8_KEY), 0.0)
    sender.timestamp += ticks
    ((source, packet),) = target.on_rtp(sender.frame(VP8_KEY), 33.0)
    assert (source is not old) is restarts
    assert packet.keyframe
    assert len(target.sources) == 1


@pytest.mark.parametrize("clock_runs", [True, False])
def test_a_pause_is_no_restart(clock_runs: bool) -> None:
    target = ingest()
    sender = Sender()
    ((source, _),) = target.on_rtp(sender.frame(VP8_KEY), 0.0)
    if clock_runs:
        sender.timestamp += 20 * 90_000
    assert target.on_rtp(sender.frame(VP8_DELTA), 20_000.0)[0][0] is source


def test_another_codec_is_a_new_source() -> None:
    vp9 = CodecParameters(98, "VP9", 90_000, rtcp_feedback=FULL_FEEDBACK)
    target = ingest(negotiation((VP8, vp9)))
    sender = Sender()
    target.on_rtp(sender.frame(VP8_KEY), 0.0)
    sender.payload_type = 98
    ((source, _),) = target.on_rtp([sender.packet(b"\x8c" + bytes(40))], 1.0)
    assert source.codec == vp9
    assert target.sources == (source,)
    sender.payload_type = 33
    target.on_rtp([sender.packet()], 2.0)
    assert target.drops == {DropReason.UNKNOWN_PAYLOAD_TYPE: 1}


def test_silent_sources_are_forgotten() -> None:
    target = ingest()
    target.on_rtp(Sender().frame(VP8_KEY), 0.0)
    target.poll_rtcp(FORGET_AFTER_MS)
    assert target.sources
    target.poll_rtcp(FORGET_AFTER_MS + 1)
    assert not target.sources
    assert target.next_deadline_ms() > FORGET_AFTER_MS


def report(ssrc: int = VIDEO_SSRC, rtp_timestamp: int = 90_000) -> bytes:
    return encode([SenderReport(ssrc, ntp_from_seconds(3_900_000_000.5), rtp_timestamp, 1, 1)])


def test_sender_reports_before_and_after_the_first_packet() -> None:
    target = ingest()
    target.on_rtcp(report(rtp_timestamp=2**32 - 1), 5.0)
    ((source, packet),) = target.on_rtp(Sender(timestamp=100).frame(VP8_KEY), 10.0)
    point = source.sender_report
    assert point is not None
    assert (point.ntp_seconds, point.rtp_timestamp, point.received_ms) == (
        3_900_000_000.5,
        packet.timestamp - 101,
        5.0,
    )
    target.on_rtcp(report(rtp_timestamp=200), 15.0)
    assert source.sender_report is not None
    assert source.sender_report.rtp_timestamp == packet.timestamp + 100


def test_reports_of_strangers_are_bounded() -> None:
    target = ingest()
    for ssrc in range(1000):
        target.on_rtcp(report(ssrc), 0.0)
    assert len(target._early_reports) <= 16


def bye(*ssrcs: int) -> bytes:
    return encode([Bye(ssrcs)])


def test_bye_of_all_sources_is_a_goodbye() -> None:
    target = ingest()
    audio, video = Sender(AUDIO_SSRC, OPUS_PT), Sender()
    assert not target.said_bye
    target.on_rtp([audio.packet(b"voice"), *video.frame(VP8_KEY)], 0.0)
    target.on_rtcp(bye(AUDIO_SSRC, 77), 1.0)
    assert not target.said_bye
    target.on_rtcp(bye(VIDEO_SSRC), 2.0)
    assert target.said_bye
    target.on_rtp(video.frame(VP8_DELTA), 3.0)  # it went on after all
    assert not target.said_bye
    target.on_rtcp(bye(), 4.0)
    assert target.said_bye


def test_foreign_rtcp_is_harmless() -> None:
    target = ingest()
    target.on_rtcp(b"\x80", 0.0)
    assert target.drops == {DropReason.MALFORMED_RTCP: 1}
    unknown: list[RtcpPacket] = [UnknownRtcp(207, 0, bytes(8))]
    target.on_rtcp(encode(unknown), 0.0)
    assert target.poll_rtcp(0.0) == []
