"""Transport-wide feedback: what a sender's estimator reads from it."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.rtcp import TransportFeedback, encode, parse_compound
from relay.core.twcc import (
    KEEP_MS,
    MAX_KEPT,
    MAX_STATUSES,
    MAX_UNREPORTED,
    QUICK_INTERVAL_MS,
    TransportFeedbackBuilder,
)


def decode(feedback: TransportFeedback) -> dict[int, float | None]:
    """Arrival in ms (or None) by 16-bit transport sequence number, as a sender computes it."""
    ticks = feedback.reference_time * 256
    out: dict[int, float | None] = {}
    for index, delta in enumerate(feedback.deltas):
        seq = (feedback.base_seq + index) & 0xFFFF
        if delta is None:
            out[seq] = None
        else:
            ticks += delta
            out[seq] = ticks / 4
    return out


def test_loss_and_arrival_times() -> None:
    builder = TransportFeedbackBuilder(1)
    for seq, at in ((65534, 1000.0), (65535, 1000.5), (1, 1010.25)):
        builder.record(seq, 9, at)
    assert builder.next_deadline_ms() == 1000.0
    (feedback,) = builder.poll(1011.0)
    assert decode(feedback) == {65534: 1000.0, 65535: 1000.5, 0: None, 1: 1010.25}
    assert (feedback.sender_ssrc, feedback.media_ssrc, feedback.feedback_count) == (1, 9, 0)
    assert builder.poll(2000.0) == []
    assert builder.next_deadline_ms() == float("inf")


def test_feedback_keeps_its_interval() -> None:
    builder = TransportFeedbackBuilder(1)
    builder.record(1, 9, 100.0)
    assert builder.poll(100.0)
    builder.record(2, 9, 103.0)
    assert builder.next_deadline_ms() == 100.0 + QUICK_INTERVAL_MS
    assert builder.poll(100.0 + QUICK_INTERVAL_MS - 0.1) == []
    (feedback,) = builder.poll(100.0 + QUICK_INTERVAL_MS)
    assert feedback.base_seq == 2
    assert feedback.feedback_count == 1
    builder.record(3, 9, 5000.0)
    assert builder.next_deadline_ms() == 5000.0


def test_a_flood_is_reported_early() -> None:
    builder = TransportFeedbackBuilder(1)
    builder.record(0, 9, 100.0)
    builder.poll(100.0)
    for seq in range(1, 1 + MAX_UNREPORTED):
        builder.record(seq, 9, 101.0)
    assert builder.next_deadline_ms() == 101.0


def test_a_gap_between_feedbacks_is_reported_as_loss() -> None:
    builder = TransportFeedbackBuilder(1)
    builder.record(10, 9, 100.0)
    builder.poll(100.0)
    builder.record(13, 9, 140.0)
    (feedback,) = builder.poll(150.0)
    assert decode(feedback) == {11: None, 12: None, 13: 140.0}


def test_a_packet_that_comes_after_its_report_is_reported_again() -> None:
    builder = TransportFeedbackBuilder(1)
    for seq in (10, 12, 13):
        builder.record(seq, 9, 100.0)
    builder.poll(100.0)
    builder.record(11, 9, 130.0)
    (feedback,) = builder.poll(150.0)
    assert decode(feedback) == {11: 130.0, 12: 100.0, 13: 100.0}


def test_a_long_silence_is_cut_into_several_feedbacks() -> None:
    builder = TransportFeedbackBuilder(1)
    builder.record(1, 9, 0.0)
    builder.record(2, 9, 60_000.0)  # no int16 of quarter milliseconds holds that
    first, second = builder.poll(60_000.0)
    assert decode(first) == {1: 0.0}
    assert decode(second) == {2: 60_000.0}


def test_a_sender_that_begins_anew() -> None:
    builder = TransportFeedbackBuilder(1)
    builder.record(100, 9, 0.0)
    builder.poll(0.0)
    builder.record(30_000, 9, 60.0)
    (feedback,) = builder.poll(60.0)
    assert decode(feedback) == {30_000: 60.0}


def test_memory_is_bounded_even_without_polling() -> None:
    builder = TransportFeedbackBuilder(1)
    for seq in range(3 * MAX_KEPT):
        builder.record(seq & 0xFFFF, 9, seq * 0.1)
    assert len(builder._arrivals) <= MAX_KEPT
    packets = builder.poll(3 * MAX_KEPT * 0.1)
    assert packets
    assert all(len(packet.deltas) <= MAX_STATUSES for packet in packets)
    assert all(len(encode([packet])) < 1400 for packet in packets)


@given(
    start=st.integers(0, 65535),
    events=st.lists(
        st.tuples(st.integers(0, 8), st.booleans(), st.floats(0, 30)), min_size=1, max_size=200
    ),
)
def test_every_arrival_is_reported_where_and_when_it_came(
    start: int, events: list[tuple[int, bool, float]]
) -> None:
    """Random reordering, loss and duplicates: the sender ends up with exactly what arrived."""
    builder = TransportFeedbackBuilder(1)
    arrived: dict[int, float] = {}
    reported: dict[int, float | None] = {}
    now = 10_000.0

    def drain() -> None:
        for packet in builder.poll(now):
            (parsed,) = parse_compound(encode([packet]))
            assert isinstance(parsed, TransportFeedback)
            reported.update(decode(parsed))

    for index, (late, lost, wait) in enumerate(events):
        now += wait
        if now - 10_000.0 > KEEP_MS * 20:
            break
        seq = (start + max(0, index - late)) & 0xFFFF
        if not lost:
            builder.record(seq, 9, now)
            arrived.setdefault(seq, now)
        drain()
    now += QUICK_INTERVAL_MS
    drain()
    for seq, at in arrived.items():
        got = reported[seq]
        assert got is not None
        assert abs(got - at) <= 0.25
    assert {seq for seq, at in reported.items() if at is not None} == set(arrived)
