"""The event hub: coalescing, bounds, priming. Time is the test's own."""

from __future__ import annotations

import asyncio

from relay.signalling.events import (
    EVENT_TYPES,
    MAX_BUFFERED,
    MAX_SUBSCRIPTIONS_PER_SESSION,
    EventHub,
    Subscription,
)

ALL = frozenset(EVENT_TYPES)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def seen(subscription: Subscription, after: int = 0) -> list[tuple[str, str]]:
    return [(event.name, event.data) for event in subscription.after(after)]


def counting(hub: EventHub, count: int) -> None:
    hub.stream_event("s", "viewercount", {"viewercount": count})


def test_viewercount_comes_once_a_second_with_the_last_value() -> None:
    clock = Clock()
    hub = EventHub(clock)
    subscription = hub.subscribe("v", "s", ALL)
    for count in range(1, 64):
        counting(hub, count)
    assert seen(subscription) == [("viewercount", '{"viewercount":1}')]
    clock.now_s += 0.999
    assert len(subscription.after(1)) == 0
    clock.now_s += 0.002
    assert seen(subscription, 1) == [("viewercount", '{"viewercount":63}')]
    counting(hub, 63)
    clock.now_s += 2
    assert seen(subscription, 2) == [], "a count that did not change is not news"


def test_a_held_count_does_not_hold_back_other_events() -> None:
    hub = EventHub(Clock())
    subscription = hub.subscribe("v", "s", ALL)
    counting(hub, 1)
    counting(hub, 2)
    hub.stream_event("s", "active", {})
    assert [name for name, _ in seen(subscription)] == ["viewercount", "active"]


async def test_a_waiting_reader_is_woken_when_a_held_count_is_due() -> None:
    clock = Clock()
    hub = EventHub(clock)
    subscription = hub.subscribe("v", "s", ALL)
    counting(hub, 1)
    assert await subscription.wait(1)
    counting(hub, 2)
    assert await subscription.wait(1), "told that something came"
    clock.now_s += 0.99
    async with asyncio.timeout(1):
        assert await subscription.wait(15), "told again when it is due"
    clock.now_s += 0.02
    assert seen(subscription, 1) == [("viewercount", '{"viewercount":2}')]
    assert not await subscription.wait(0.01)


def test_the_buffer_is_bounded_and_keeps_the_newest() -> None:
    hub = EventHub(Clock())
    subscription = hub.subscribe("v", "s", ALL)
    for number in range(3 * MAX_BUFFERED):
        hub.session_event("v", "reconnect", {"url": str(number)})
    events = subscription.after(0)
    assert len(events) == MAX_BUFFERED
    assert events[-1].number == 3 * MAX_BUFFERED


def test_the_oldest_of_too_many_subscriptions_ends() -> None:
    hub = EventHub(Clock())
    many = [hub.subscribe("v", "s", ALL) for _ in range(MAX_SUBSCRIPTIONS_PER_SESSION + 1)]
    assert [s.closed for s in many] == [True] + [False] * MAX_SUBSCRIPTIONS_PER_SESSION
    assert hub.find(many[0].id) is None
    hub.session_closed("v")
    assert all(s.closed for s in many)
    assert all(hub.find(s.id) is None for s in many)


def test_inactive_alone_is_told_when_the_stream_was_active() -> None:
    hub = EventHub(Clock())
    hub.stream_event("s", "active", {})
    subscription = hub.subscribe("v", "s", frozenset({"inactive"}))
    assert seen(subscription) == []
    hub.stream_event("s", "inactive", {})
    hub.stream_event("s", "inactive", {})
    assert seen(subscription) == [("inactive", "{}")]


def test_events_stay_in_their_stream_and_session() -> None:
    hub = EventHub(Clock())
    mine, other = hub.subscribe("v", "s", ALL), hub.subscribe("w", "t", ALL)
    hub.stream_event("s", "active", {})
    hub.session_event("w", "reconnect", {"url": "u"})
    assert [name for name, _ in seen(mine)] == ["active"]
    assert [name for name, _ in seen(other)] == ["reconnect"]
