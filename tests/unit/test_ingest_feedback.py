"""What a publisher is told, and when."""

import dataclasses
from itertools import pairwise

import pytest

from relay.core.ingest import PublisherIngest
from relay.core.ingest_feedback import MAX_COMPOUND_BYTES
from relay.core.negotiation import EXT_ABS_SEND_TIME, EXT_TRANSPORT_CC, CodecParameters
from relay.core.rtcp import (
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    encode,
    middle_ntp,
    parse_compound,
)
from tests.unit.ingest_fixtures import (
    AST_ID,
    EXTENSIONS,
    LOCAL_SSRC,
    TWCC_ID,
    VIDEO_SSRC,
    VP8,
    VP8_DELTA,
    VP8_KEY,
    Sender,
    ingest,
    negotiation,
    rtx,
    sent,
)

BARE = dataclasses.replace(VP8, rtcp_feedback=frozenset())
WITH_CC = dataclasses.replace(VP8, rtcp_feedback=VP8.rtcp_feedback | {"transport-cc"})


def with_feedback(*feedback: str) -> CodecParameters:
    return dataclasses.replace(VP8, rtcp_feedback=frozenset(feedback))


def drive(
    target: PublisherIngest, until_ms: float, now_ms: float = 0.0
) -> list[tuple[float, RtcpPacket]]:
    """Poll at every deadline, as a driver does; each must send something or move on."""
    out: list[tuple[float, RtcpPacket]] = []
    while (deadline := target.next_deadline_ms()) <= until_ms:
        now_ms = max(now_ms, deadline)
        packets = sent(target, now_ms)
        assert packets or target.next_deadline_ms() > now_ms
        out += [(now_ms, packet) for packet in packets]
    return out


def test_nothing_is_due_before_the_first_packet() -> None:
    target = ingest()
    assert target.next_deadline_ms() == float("inf")
    assert target.poll_rtcp(1000.0) == []


def test_reports_come_quickly_at_first_then_every_second() -> None:
    target = ingest(negotiation((BARE,)))
    target.on_rtp(Sender().frame(VP8_KEY), 0.0)
    sent_at = [at for at, p in drive(target, 8000.0) if isinstance(p, ReceiverReport)]
    assert sent_at == [500.0 * n for n in range(1, 9)] + [5000.0, 6000.0, 7000.0, 8000.0]


def test_a_report_describes_its_source() -> None:
    target = ingest(negotiation((BARE,)))
    sender = Sender()
    key, _, delta = sender.packet(VP8_KEY), sender.packet(VP8_DELTA), sender.packet(VP8_DELTA)
    target.on_rtp([key, delta], 0.0)
    target.on_rtcp(encode([SenderReport(VIDEO_SSRC, 5 << 32, 0, 0, 0)]), 100.0)
    report, description = sent(target, 500.0)
    assert isinstance(report, ReceiverReport)
    assert isinstance(description, SourceDescription)
    assert description.chunks[0].ssrc == report.ssrc == LOCAL_SSRC
    assert description.chunks[0].cname
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.highest_seq) == (VIDEO_SSRC, 1, 1002)
    assert block.last_sr == middle_ntp(5 << 32)
    assert block.delay_since_last_sr == int(400 * 65.536)


def test_every_compound_starts_with_a_report_and_fits_a_datagram() -> None:
    target = ingest()
    sender = Sender()
    packets = [sender.packet(VP8_KEY) for _ in range(900)]
    target.on_rtp(packets[:1] + packets[1::2], 0.0)  # every second one is lost
    datagrams = target.poll_rtcp(target.next_deadline_ms() + 50)
    asked = 0
    for data in datagrams:
        assert len(data) <= MAX_COMPOUND_BYTES
        compound = parse_compound(data)
        assert isinstance(compound[0], ReceiverReport)
        assert isinstance(compound[1], SourceDescription)
        asked += sum(len(p.seqs) for p in compound if isinstance(p, Nack))
    assert asked == 449


def test_no_nack_unless_negotiated() -> None:
    target = ingest(negotiation((BARE,)))
    sender = Sender()
    packets = [sender.packet(VP8_DELTA) for _ in range(5)]
    target.on_rtp([packets[0], packets[4]], 0.0)
    assert not any(isinstance(p, Nack) for _, p in drive(target, 2000.0))


def test_nacks_follow_the_round_trip() -> None:
    target = ingest()
    target.on_round_trip(30.0)
    sender = Sender()
    key, _, delta = sender.packet(VP8_KEY), sender.packet(VP8_DELTA), sender.packet(VP8_DELTA)
    target.on_rtp([key, delta], 0.0)
    at = [moment for moment, p in drive(target, 400.0) if isinstance(p, Nack)]
    assert len(at) == 10
    assert {round(b - a, 6) for a, b in pairwise(at)} == {30.0}


def test_a_repair_measures_the_round_trip() -> None:
    target = ingest()
    sender = Sender()
    key, lost, delta = sender.packet(VP8_KEY), sender.packet(VP8_DELTA), sender.packet(VP8_DELTA)
    target.on_rtp([key, delta], 0.0)
    target.poll_rtcp(12.0)
    target.on_rtp([rtx(lost, 1)], 72.0)
    assert target.rtt_ms == 60.0


@pytest.mark.parametrize(
    ("feedback", "expected"), [("nack pli", PictureLoss), ("ccm fir", FullIntraRequest)]
)
def test_a_key_frame_is_asked_for_until_it_comes(feedback: str, expected: type) -> None:
    target = ingest(negotiation((with_feedback(feedback),)))
    sender = Sender()
    ((source, _),) = target.on_rtp(sender.frame(VP8_DELTA), 0.0)
    assert target.request_keyframe(source, 10.0)
    assert target.next_deadline_ms() == 10.0
    asked = [(at, p) for at, p in drive(target, 600.0) if isinstance(p, expected)]
    assert [at for at, _ in asked] == [10.0, 510.0]
    target.on_rtp(sender.frame(VP8_KEY), 700.0)
    assert not any(isinstance(p, expected) for _, p in drive(target, 5000.0))


def test_an_unanswered_request_ends() -> None:
    target = ingest()
    ((source, _),) = target.on_rtp(Sender().frame(VP8_DELTA), 0.0)
    target.request_keyframe(source, 0.0)
    asked = [at for at, p in drive(target, 10_000.0) if isinstance(p, PictureLoss)]
    assert asked == [0.0, 500.0, 1000.0]


def test_fir_counts_requests_not_repetitions() -> None:
    target = ingest(negotiation((with_feedback("ccm fir"),)))
    sender = Sender()
    ((source, _),) = target.on_rtp(sender.frame(VP8_DELTA), 0.0)
    numbers = []
    for moment, answered in ((0.0, False), (300.0, True), (1000.0, True)):
        target.request_keyframe(source, moment)
        numbers += [
            p.entries[0][1] for p in sent(target, moment) if isinstance(p, FullIntraRequest)
        ]
        if answered:
            target.on_rtp(sender.frame(VP8_KEY), moment + 50)
    assert numbers == [1, 1, 2]


def test_a_publisher_without_pli_cannot_be_asked() -> None:
    target = ingest(negotiation((BARE,)))
    ((source, _),) = target.on_rtp(Sender().frame(VP8_DELTA), 0.0)
    assert not source.can_request_keyframe
    assert not target.request_keyframe(source, 0.0)


def transport_seq(number: int) -> dict[int, bytes]:
    return {TWCC_ID: number.to_bytes(2, "big")}


def test_transport_cc_wins_over_remb() -> None:
    target = ingest(negotiation((WITH_CC,)))
    sender = Sender()
    for number in range(20):
        data = sender.packet(VP8_DELTA, extensions=transport_seq(number))
        if number != 7:
            target.on_rtp([data], number * 10.0)
            drive(target, number * 10.0, number * 10.0)
    packets = [p for _, p in drive(target, 400.0, 190.0)]
    assert any(isinstance(p, TransportFeedback) for p in packets)
    assert not any(isinstance(p, Remb) for p in packets)
    assert target.remb_bps is None


def test_probes_and_strangers_count_for_transport_cc() -> None:
    target = ingest(negotiation((WITH_CC,)))
    sender = Sender()
    target.on_rtp(
        [
            sender.packet(b"", padding_bytes=100, extensions=transport_seq(0)),
            Sender(5, payload_type=33).packet(extensions=transport_seq(1)),
        ],
        0.0,
    )
    (feedback,) = (p for p in sent(target, 0.0) if isinstance(p, TransportFeedback))
    assert len(feedback.deltas) == 2
    assert None not in feedback.deltas


def test_remb_for_publishers_that_know_nothing_else() -> None:
    extensions = {uri: i for uri, i in EXTENSIONS.items() if uri != EXT_TRANSPORT_CC}
    target = ingest(negotiation((WITH_CC,), extensions=extensions))
    target.on_rtp(Sender().frame(VP8_KEY), 0.0)
    (remb,) = (p for p in sent(target, 0.0) if isinstance(p, Remb))
    assert remb.ssrcs == (VIDEO_SSRC,)
    assert remb.bitrate_bps >= 2_500_000
    assert target.remb_bps is not None


def test_neither_for_publishers_that_know_neither() -> None:
    target = ingest(negotiation((BARE,)))
    target.on_rtp([Sender().packet(VP8_KEY, extensions=transport_seq(1))], 0.0)
    kinds = {type(p) for _, p in drive(target, 3000.0)}
    assert kinds == {ReceiverReport, SourceDescription}


@pytest.mark.parametrize("abs_send_time", [True, False])
def test_a_growing_queue_lowers_the_remb(abs_send_time: bool) -> None:
    """Packets sent every 10 ms that arrive every 12 ms: the line takes five sixths of the rate."""
    extensions = EXTENSIONS
    if not abs_send_time:
        extensions = {uri: i for uri, i in EXTENSIONS.items() if uri != EXT_ABS_SEND_TIME}
    target = ingest(negotiation(extensions=extensions))
    sender = Sender()
    rates = []
    for index in range(500):
        sent_ms, now = index * 10.0, 1000.0 + index * 12.0
        stamp = int(sent_ms / 1000 * (1 << 18)) & 0xFFFFFF
        extra = {AST_ID: stamp.to_bytes(3, "big")} if abs_send_time else {}
        data = sender.packet(VP8_DELTA + bytes(1000), marker=True, extensions=extra)
        sender.timestamp += 900
        target.on_rtp([data], now)
        rates += [p.bitrate_bps for p in sent(target, now) if isinstance(p, Remb)]
    assert rates[0] >= 2_500_000
    assert rates[-1] < 800_000
