"""Wrap-around, reordering, duplicates, loss, padding and repair through the whole ingest."""

import dataclasses
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from relay.core.drops import DropReason
from relay.core.ingest import Ingested
from relay.core.packet import MediaPacket
from relay.core.rtcp import Nack
from tests.unit.ingest_fixtures import (
    H264,
    H264_DELTA,
    H264_PT,
    IDR,
    PPS,
    SPS,
    VP8_DELTA,
    VP8_KEY,
    VP8_MORE,
    Sender,
    ingest,
    negotiation,
    rtx,
    sent,
)

CYCLE = 65536


def seqs(out: Ingested) -> list[int]:
    return [packet.seq for _, packet in out]


def test_numbers_do_not_wrap() -> None:
    target = ingest()
    sender = Sender(seq=65534, timestamp=2**32 - 3000)
    packets = [p for _ in range(4) for p in sender.frame(VP8_DELTA)]
    out = [packet for _, packet in target.on_rtp(packets, 0.0)]
    assert [p.seq for p in out] == [CYCLE + 65534 + i for i in range(4)]
    assert [p.timestamp for p in out] == [2**33 - 3000 + 3000 * i for i in range(4)]


def test_probes_leave_no_hole() -> None:
    target = ingest()
    sender = Sender()
    packets = [sender.packet(VP8_KEY), sender.padding(), sender.padding(), sender.packet(VP8_DELTA)]
    assert seqs(target.on_rtp(packets, 0.0)) == [CYCLE + 1000, CYCLE + 1001]
    assert target.drops == {DropReason.PADDING_ONLY: 2}
    assert target.sources[0].stats.lost == 0
    assert target.sources[0].stats.padding_only == 2


def test_a_late_probe_fills_its_hole_with_an_empty_packet() -> None:
    target = ingest()
    sender = Sender()
    key, probe, delta = sender.packet(VP8_KEY), sender.padding(), sender.packet(VP8_DELTA)
    assert seqs(target.on_rtp([key, delta], 0.0)) == [CYCLE + 1000, CYCLE + 1002]
    ((_, filler),) = target.on_rtp([probe], 1.0)
    assert (filler.seq, filler.payload, filler.frame_start, filler.keyframe) == (
        CYCLE + 1001,
        b"",
        False,
        False,
    )


def test_reordered_packets_keep_their_place() -> None:
    target = ingest()
    sender = Sender()
    a, b, c = (sender.packet(VP8_MORE) for _ in range(3))
    assert seqs(target.on_rtp([a, c, b, b], 0.0)) == [CYCLE + n for n in (1000, 1002, 1001)]
    assert target.drops == {DropReason.DUPLICATE: 1}


def test_missing_packets_are_asked_for_and_a_plain_resend_repairs() -> None:
    target = ingest()
    sender = Sender()
    key, lost, delta = (sender.packet(p) for p in (VP8_KEY, VP8_DELTA, VP8_DELTA))
    target.on_rtp([key, delta], 100.0)
    target.poll_rtcp(100.0)
    deadline = target.next_deadline_ms()
    assert 105.0 < deadline < 125.0
    (nack,) = (p for p in sent(target, deadline) if isinstance(p, Nack))
    assert (nack.media_ssrc, nack.seqs) == (sender.ssrc, (1001,))
    assert seqs(target.on_rtp([lost], 150.0)) == [CYCLE + 1001]
    assert not any(isinstance(p, Nack) for p in sent(target, 400.0))
    assert target.sources[0].stats.nacks_sent == 1
    assert target.sources[0].stats.lost == 0


def test_a_key_frame_is_flagged_on_exactly_one_packet() -> None:
    target = ingest(negotiation((H264,)))
    sender = Sender(payload_type=H264_PT)
    packets = [
        *sender.frame(SPS, PPS, b"\x7c\x85" + bytes(50), b"\x7c\x05" + bytes(50)),
        *sender.frame(H264_DELTA),
        *sender.frame(SPS, PPS, IDR),
    ]
    out = [packet for _, packet in target.on_rtp(packets, 0.0)]
    assert [packet.keyframe for packet in out] == [True, *[False] * 4, True, False, False]
    assert target.sources[0].stats.keyframes == 2


def test_missing_parameter_sets_are_put_before_the_key_frame() -> None:
    target = ingest(negotiation((H264,)))
    sender = Sender(payload_type=H264_PT)
    packets = [
        *sender.frame(SPS, PPS, IDR),
        *sender.frame(H264_DELTA),
        *sender.frame(IDR),
        *sender.frame(H264_DELTA),
    ]
    out = [packet for _, packet in target.on_rtp(packets, 0.0)]
    assert [p.seq for p in out] == list(range(CYCLE + 1000, CYCLE + 1000 + len(out)))
    assert len(out) > len(packets)
    repaired = [p for p in out if p.timestamp == out[4].timestamp]
    assert repaired[-1].payload == IDR
    assert [p.keyframe for p in repaired] == [True] + [False] * (len(repaired) - 1)
    assert b"".join(p.payload for p in repaired[:-1]).count(SPS) == 1
    assert not any(p.marker for p in repaired[:-1])
    assert out[-1].payload == H264_DELTA
    assert target.sources[0].stats.parameter_sets_inserted == len(repaired) - 1


def test_a_malformed_payload_goes_on_as_the_middle_of_a_frame() -> None:
    target = ingest(negotiation((H264,)))
    sender = Sender(payload_type=H264_PT)
    ((source, packet),) = target.on_rtp([sender.packet(b"\x7c")], 0.0)
    assert (packet.payload, packet.keyframe, packet.frame_start) == (b"\x7c", False, False)
    assert source.stats.malformed_payloads == 1


def test_parameter_sets_from_the_offer_are_used() -> None:
    sprop = ",".join(b64encode(nal).decode() for nal in (SPS, PPS))
    codec = dataclasses.replace(H264, fmtp={"sprop-parameter-sets": sprop})
    target = ingest(negotiation((codec,)))
    out = target.on_rtp(Sender(payload_type=H264_PT).frame(IDR), 0.0)
    assert [(packet.keyframe, packet.frame_start) for _, packet in out] == [
        (True, True),
        (False, False),
    ]
    assert SPS in out[0][1].payload


def test_markers_and_frame_starts() -> None:
    target = ingest()
    out = target.on_rtp(Sender().frame(VP8_KEY, VP8_MORE, VP8_MORE), 0.0)
    assert [packet.frame_start for _, packet in out] == [True, False, False]
    assert [packet.marker for _, packet in out] == [False, False, True]


events = st.lists(
    st.tuples(
        st.sampled_from(["media", "media", "media", "padding"]),
        st.sampled_from(["sent", "sent", "sent", "lost", "repaired", "doubled"]),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=80,
)


@given(first_seq=st.integers(0, 65535), events=events)
def test_each_packet_once_in_its_place_with_its_own_payload(
    first_seq: int, events: list[tuple[str, str, int]]
) -> None:
    """No two packets share a number, order is the sender's, repairs come home, nothing else."""
    target = ingest()
    sender = Sender(seq=first_seq)
    payload_of: dict[bytes, int] = {}
    schedule: list[tuple[int, int, bytes]] = []
    expected: set[bytes] = set()
    for index, (kind, fate, late) in enumerate(events):
        if index == 0:
            kind, fate, late = "media", "sent", 0
        payload = b"\x00" + index.to_bytes(4, "big")
        data = sender.padding() if kind == "padding" else sender.packet(payload)
        if fate != "lost" and kind == "media":
            payload_of[payload] = index
            expected.add(payload)
        if fate in ("sent", "doubled"):
            schedule.append((index + late, index, data))
        if fate == "doubled":
            schedule.append((index + late + 2, index, data))
        if fate == "repaired" and kind == "media":
            schedule.append((index + 10, index, rtx(data, index)))
    # A last packet in order, so that whatever is missing before it is known to be.
    schedule.append((10_000, len(events), sender.packet(b"\x00last")))
    expected.add(b"\x00last")
    payload_of[b"\x00last"] = len(events)
    out: list[MediaPacket] = []
    for moment, (_, _, data) in enumerate(sorted(schedule)):
        out += [packet for _, packet in target.on_rtp([data], moment * 3.0)]
        target.poll_rtcp(moment * 3.0)
    numbers = [packet.seq for packet in out]
    assert len(set(numbers)) == len(numbers)
    media = {packet.payload: packet for packet in out if packet.payload}
    assert set(media) == expected
    ordered = sorted(media.values(), key=lambda packet: packet.seq)
    assert [payload_of[p.payload] for p in ordered] == sorted(payload_of[p] for p in expected)
    stats = target.sources[0].stats
    assert stats.packets == len(media)
    lost_for_good = sum(
        fate == "lost" or (fate == "repaired" and kind == "padding") for kind, fate, _ in events[1:]
    )
    assert stats.lost == lost_for_good


@given(kinds=st.lists(st.sampled_from(["media", "padding"]), max_size=60))
def test_a_clean_line_has_no_holes(kinds: list[str]) -> None:
    target = ingest()
    sender = Sender(seq=65530)
    packets = [sender.packet(VP8_KEY)]
    packets += [sender.padding() if k == "padding" else sender.packet() for k in kinds]
    out = seqs(target.on_rtp(packets, 0.0))
    assert out == list(range(CYCLE + 65530, CYCLE + 65530 + len(out)))
    assert len(out) == 1 + kinds.count("media")
