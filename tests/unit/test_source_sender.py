"""The sending half: numbers, extensions, repair, reports, rate."""

from __future__ import annotations

import pytest

from hub.source.media_sender import NTP_EPOCH_OFFSET_S, MediaSender
from hub.source.pacer import MAX_SPREAD_S, burst_gap_s
from hub.source.rate import MIN_BITRATE, RateController
from hub.source.rtp_sender import abs_send_time
from hub.source.units import EncodedUnit
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_TRANSPORT_CC,
    CodecParameters,
    MediaNegotiation,
    PublisherNegotiation,
)
from relay.core.rtcp import (
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    ReportBlock,
    SenderReport,
    SourceDescription,
    encode,
    middle_ntp,
    ntp_from_seconds,
    parse_compound,
)
from relay.core.rtp import RtpView, parse_rtp


class NoFeed:
    codec = "h264"
    has_video = has_audio = True

    def __init__(self) -> None:
        self.keyframes = 0
        self.bitrate = 0

    def lanes(self, clock: object) -> list[object]:
        return []

    def request_keyframe(self, layer: int | None = None) -> None:
        self.keyframes += 1

    def set_bitrate(self, bits_per_second: int) -> None:
        self.bitrate = bits_per_second


def negotiation(rtx: int | None = 97) -> PublisherNegotiation:
    audio = MediaNegotiation(
        0, "0", "audio", (CodecParameters(111, "OPUS", 48000, 2),), {EXT_MID: 1, EXT_AUDIO_LEVEL: 2}
    )
    video = MediaNegotiation(
        1,
        "1",
        "video",
        (CodecParameters(96, "H264", 90000, rtx_payload_type=rtx),),
        {EXT_MID: 1, EXT_ABS_SEND_TIME: 3, EXT_TRANSPORT_CC: 4},
    )
    return PublisherNegotiation((audio, video))


def make(rtx: int | None = 97) -> tuple[MediaSender, NoFeed]:
    feed = NoFeed()
    sender = MediaSender(
        feed,  # type: ignore[arg-type]
        negotiation(rtx),
        {"audio": (10, None), "video": (20, 21)},
        full_bps=2_500_000,
        now_ms=0.0,
    )
    return sender, feed


def frame(media_s: float, size: int = 3000) -> EncodedUnit:
    return EncodedUnit("video", media_s, b"\x00\x00\x00\x01\x65" + b"\x11" * size, True)


def send(sender: MediaSender, unit: EncodedUnit, now_ms: float) -> list[bytes]:
    return [out.sender.build(out, now_ms) for out in sender.packetize(unit)]


def views(packets: list[bytes]) -> list[RtpView]:
    return [parse_rtp(packet) for packet in packets]


def test_a_frame_is_numbered_stamped_and_marked_once() -> None:
    sender, _ = make()
    first, second = views(send(sender, frame(1.0), 5.0)), views(send(sender, frame(1.5), 9.0))
    seqs = [view.seq for view in first + second]
    assert [(s - seqs[0]) & 0xFFFF for s in seqs] == list(range(6))
    assert [view.marker for view in first] == [False, False, True]
    assert (second[0].timestamp - first[0].timestamp) & 0xFFFFFFFF == 45_000
    assert {view.ssrc for view in first} == {20}
    assert first[0].extensions[1] == b"1"
    assert first[0].extensions[3] == abs_send_time(5.0)
    wide = [int.from_bytes(view.extensions[4], "big") for view in first + second]
    assert wide == list(range(6))


def test_packets_stay_under_1280_bytes_on_the_wire() -> None:
    sender, _ = make()
    longest = max(map(len, send(sender, frame(0.0, 50_000), 0.0)))
    assert longest + 2 + 16 + 48 < 1280


def test_audio_carries_its_level_and_no_marker() -> None:
    sender, _ = make()
    (view,) = views(send(sender, EncodedUnit("audio", 0.02, b"\x78x", audio_level=30), 0.0))
    assert view.extensions[2] == bytes([0x80 | 30])
    assert not view.marker
    (quiet,) = views(send(sender, EncodedUnit("audio", 0.04, b"\x78x", audio_level=127), 0.0))
    assert quiet.extensions[2] == bytes([127])


def feedback(sender: MediaSender, packet: object, now_ms: float = 0.0) -> list[bytes]:
    out: list[bytes] = []
    sender.on_rtcp(encode([packet]), 1_000_000.0, now_ms, out.append)  # type: ignore[list-item]
    return out


def test_a_nack_is_answered_over_rtx_once_in_a_while() -> None:
    sender, _ = make()
    sent = views(send(sender, frame(0.0), 0.0))
    ask = Nack(1, 20, (sent[1].seq, (sent[1].seq + 5000) & 0xFFFF))
    (repair,) = views(feedback(sender, ask, 10.0))
    assert (repair.ssrc, repair.payload_type) == (21, 97)
    assert repair.payload == sent[1].seq.to_bytes(2, "big") + sent[1].payload
    assert repair.timestamp == sent[1].timestamp
    assert feedback(sender, ask, 20.0) == []
    assert len(feedback(sender, ask, 60.0)) == 1


def test_without_rtx_the_very_same_packet_is_sent() -> None:
    sender, _ = make(rtx=None)
    sent = send(sender, frame(0.0), 0.0)
    assert feedback(sender, Nack(1, 20, (parse_rtp(sent[2]).seq,)), 10.0) == [sent[2]]


def test_old_packets_are_forgotten() -> None:
    sender, _ = make()
    old = views(send(sender, frame(0.0), 0.0))
    send(sender, frame(2.0), 2000.0)
    assert feedback(sender, Nack(1, 20, (old[0].seq,)), 2001.0) == []


def test_picture_loss_asks_for_a_keyframe() -> None:
    sender, feed = make()
    feedback(sender, PictureLoss(1, 20))
    assert feed.keyframes == 1


def test_garbage_is_counted() -> None:
    sender, _ = make()
    sender.on_rtcp(b"\x80\xc9", 0.0, 0.0, lambda packet: None)
    assert sender.malformed_rtcp == 1


def test_reports_put_audio_and_video_on_one_clock() -> None:
    sender, _ = make()
    audio = views(send(sender, EncodedUnit("audio", 2.0, b"\x78"), 0.0))[0]
    video = views(send(sender, frame(2.0), 0.0))[0]
    reports = [parse_compound(data) for data in sender.reports(1_000_000.0, 3.0)]
    assert all(isinstance(packets[1], SourceDescription) for packets in reports)
    by_ssrc = {p[0].ssrc: p[0] for p in reports if isinstance(p[0], SenderReport)}
    assert (by_ssrc[10].rtp_timestamp - audio.timestamp) & 0xFFFFFFFF == 48_000
    assert (by_ssrc[20].rtp_timestamp - video.timestamp) & 0xFFFFFFFF == 90_000
    assert by_ssrc[10].ntp_timestamp == by_ssrc[20].ntp_timestamp
    assert by_ssrc[10].ntp_seconds == pytest.approx(1_000_000.0 + NTP_EPOCH_OFFSET_S)
    assert by_ssrc[20].packet_count == 3


def test_round_trip_and_loss_are_read_from_report_blocks() -> None:
    sender, _ = make()
    last = middle_ntp(ntp_from_seconds(1_000_000.0 - 0.150 + NTP_EPOCH_OFFSET_S))
    feedback(sender, ReceiverReport(1, (ReportBlock(20, 64, 9, 9, 0, last, 6554),)))
    assert sender.rtt_ms == pytest.approx(50, abs=1)
    assert sender.loss == 0.25


def test_the_rate_falls_with_loss_and_climbs_back() -> None:
    rate = RateController(2_500_000, 0.0)
    now = 0.0
    for _ in range(60):
        now += 1000
        rate.on_loss(0.4, now)
    assert rate.target_bps == MIN_BITRATE
    for _ in range(60):
        now += 1000
        rate.on_loss(0.0, now)
    assert rate.target_bps == 2_500_000


def test_an_estimate_counts_only_while_packets_are_lost() -> None:
    sender, feed = make()
    feedback(sender, Remb(500_000, (20,)), 0.0)
    assert feed.bitrate == 2_500_000
    feedback(sender, ReceiverReport(1, (ReportBlock(20, 13, 9, 9, 0),)), 100.0)
    feedback(sender, Remb(500_000, (20,)), 200.0)
    assert feed.bitrate == 500_000


@pytest.mark.parametrize("packets", [1, 8, 9, 24, 50, 400])
def test_a_frame_is_spread_over_fifteen_milliseconds_at_most(packets: int) -> None:
    bursts = -(-packets // 8)
    assert burst_gap_s(packets) * (bursts - 1) <= MAX_SPREAD_S + 1e-9
