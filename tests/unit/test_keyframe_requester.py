"""Key-frame requests: joined, limited by what they cost, repeated when nothing comes."""

from __future__ import annotations

from relay.core.keyframes import MAX_INTERVAL_MS, MIN_INTERVAL_MS, RETRY_MS, KeyframeRequester


def test_first_wish_is_sent_at_once_and_many_wishes_are_one_request() -> None:
    requester = KeyframeRequester()
    for _ in range(63):
        requester.want(0.0)
    assert requester.poll(0.0)
    assert not requester.poll(1.0)
    assert requester.counters.asked == 63
    assert requester.counters.sent == 1
    assert requester.counters.suppressed == 62


def test_unanswered_request_is_repeated_and_an_answer_stops_it() -> None:
    requester = KeyframeRequester()
    requester.want(0.0)
    requester.poll(0.0)
    assert requester.next_deadline_ms() == RETRY_MS
    assert requester.poll(RETRY_MS)
    requester.on_keyframe(10_000, 2_500_000, RETRY_MS + 40)
    assert requester.next_deadline_ms() == float("inf")
    assert not requester.poll(10_000.0)


def test_costly_key_frames_are_asked_for_seldom() -> None:
    cheap, costly = KeyframeRequester(), KeyframeRequester()
    cheap.on_keyframe(10_000, 2_500_000, 0.0)
    costly.on_keyframe(200_000, 2_500_000, 0.0)
    for requester in (cheap, costly):
        requester.want(1.0)
    assert cheap.next_deadline_ms() == MIN_INTERVAL_MS
    assert costly.next_deadline_ms() == MAX_INTERVAL_MS
    assert not costly.poll(MAX_INTERVAL_MS - 1)
    assert costly.poll(MAX_INTERVAL_MS)


def test_wish_that_came_too_early_fires_later_unless_a_key_frame_comes_by_itself() -> None:
    requester = KeyframeRequester()
    requester.on_keyframe(10_000, 2_500_000, 0.0)
    requester.want(100.0)
    assert not requester.poll(100.0)
    requester.on_keyframe(10_000, 2_500_000, 200.0)
    assert requester.next_deadline_ms() == float("inf")


def test_a_publisher_that_never_answers_is_not_asked_for_ever_but_a_later_wish_is_heard() -> None:
    requester = KeyframeRequester()
    requester.want(0.0)
    now_ms, sent = 0.0, 0
    while requester.next_deadline_ms() < float("inf"):
        now_ms = max(now_ms, requester.next_deadline_ms())
        sent += requester.poll(now_ms)
    assert 2 <= sent <= 10
    requester.want(now_ms + 10_000)
    assert requester.poll(now_ms + 10_000)
