"""What the hub believes of a relay, and when it stops believing it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from hub.relays.registry import (
    AVOID_MS,
    FORGET_MS,
    UNDER_WAY_MS,
    DuplicateRelayError,
    ProbeKind,
    Relay,
    RelayRegistry,
    RelayState,
)
from relay.control.messages import Beat, Hello, Report
from relay.node.snapshot import NodeSnapshot
from tests.unit.hub_fakes import publisher, stream, viewer


class FakeLink:
    def __init__(self) -> None:
        self.sent: list[BaseModel] = []
        self.closed: tuple[int, str] | None = None

    def send(self, message: BaseModel) -> bool:
        self.sent.append(message)
        return True

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


def hello(name: str = "relay-1", instance: str = "i1", pid: int = 1, **more: object) -> Hello:
    return Hello(
        id=name,
        instance=instance,
        version="1",
        pid=pid,
        base_url=f"http://{name}:80",
        media_port=7000,
        capacity=100,
        **more,  # type: ignore[arg-type]
    )


def beat(viewers: int = 0, *, ready: bool = True, draining: bool = False) -> Beat:
    return Beat(viewers=viewers, ready=ready, draining=draining)


def report(*communes: str) -> Report:
    viewers = tuple(viewer(f"s{n}", slug) for n, slug in enumerate(communes))
    snapshot = NodeSnapshot((stream(viewers),), 0.0, 0.0, 7000)
    return Report(snapshot=snapshot)


def linked(registry: RelayRegistry, now_ms: float = 0.0, name: str = "relay-1") -> Relay:
    relay = registry.hello(hello(name), FakeLink(), now_ms)
    registry.on_beat(relay, beat(), now_ms)
    return relay


def test_it_joins_is_ready_and_silent_when_its_beats_stop() -> None:
    registry = RelayRegistry()
    relay = registry.hello(hello(), FakeLink(), 0.0)
    assert relay.state_at(0.0) is RelayState.JOINING
    registry.on_beat(relay, beat(), 100.0)
    assert relay.state_at(100.0) is RelayState.READY
    assert relay.state_at(699.0) is RelayState.READY
    assert relay.state_at(701.0) is RelayState.SILENT
    registry.on_beat(relay, beat(), 800.0)
    assert relay.state_at(800.0) is RelayState.READY


def test_a_relay_that_says_it_cannot_serve_is_not_placed() -> None:
    registry = RelayRegistry()
    relay = linked(registry)
    registry.on_beat(relay, beat(ready=False), 100.0)
    assert relay.state_at(100.0) is RelayState.SILENT
    assert not registry.loads(100.0)[0].ready


def test_a_probe_that_never_worked_is_no_evidence_one_that_stopped_is() -> None:
    registry = RelayRegistry()
    relay = linked(registry, 0.0)
    assert registry.loads(100.0)[0].fresh
    registry.on_probe(relay, ProbeKind.HTTP, 200.0, asked_ms=200.0)
    for now_ms in range(300, 1300, 200):
        registry.on_beat(relay, beat(), float(now_ms))
    assert not registry.loads(1200.0)[0].fresh  # beats come, the way of the viewers is cut
    assert registry.loads(1200.0)[0].ready  # better than none at all
    registry.on_probe(relay, ProbeKind.HTTP, 1250.0, asked_ms=1250.0)
    assert registry.loads(1300.0)[0].fresh


def test_a_broken_link_is_the_end_until_a_probe_says_otherwise() -> None:
    registry = RelayRegistry()
    link = FakeLink()
    relay = registry.hello(hello(), link, 0.0)
    registry.on_beat(relay, beat(3), 0.0)
    registry.on_probe(relay, ProbeKind.HTTP, 0.0, asked_ms=0.0)
    registry.link_lost(relay, link, 10.0)
    assert relay.state_at(10.0) is RelayState.LOST
    assert not registry.loads(10.0)[0].ready
    registry.on_probe(relay, ProbeKind.HTTP, 300.0, asked_ms=300.0)
    assert relay.state_at(300.0) is RelayState.READY


def test_a_late_end_of_an_old_link_does_not_touch_the_new_one() -> None:
    registry = RelayRegistry()
    old = FakeLink()
    relay = registry.hello(hello(instance="i1"), old, 0.0)
    registry.on_beat(relay, beat(), 0.0)
    again = registry.hello(hello(instance="i2", pid=2), FakeLink(), 2000.0)
    registry.on_beat(again, beat(), 2000.0)
    assert old.closed is not None
    registry.link_lost(relay, old, 2001.0)
    assert registry.get("relay-1").state_at(2001.0) is RelayState.READY


def test_two_living_processes_cannot_share_an_id() -> None:
    registry = RelayRegistry()
    linked(registry, 0.0)
    with pytest.raises(DuplicateRelayError):
        registry.hello(hello(instance="other", pid=99), FakeLink(), 100.0)
    # The first one has fallen silent: the newcomer is its successor.
    registry.hello(hello(instance="other", pid=99), FakeLink(), 5000.0)


def test_a_restored_relay_counts_once_a_probe_reached_it() -> None:
    registry = RelayRegistry()
    registry.restore(hello(), 0.0)
    assert registry.get("relay-1").state_at(0.0) is RelayState.LOST
    registry.on_probe(registry.get("relay-1"), ProbeKind.HTTP, 50.0, asked_ms=50.0)
    assert registry.loads(50.0)[0].ready
    registry.restore(hello(instance="late"), 60.0)
    assert registry.get("relay-1").hello.instance == "i1"


def test_an_answer_to_what_was_asked_before_the_link_broke_proves_nothing() -> None:
    registry = RelayRegistry()
    link = FakeLink()
    relay = registry.hello(hello(), link, 0.0)
    registry.link_lost(relay, link, 10.0)
    registry.on_probe(relay, ProbeKind.HTTP, 11.0, asked_ms=9.0)
    assert relay.state_at(11.0) is RelayState.LOST
    registry.on_probe(relay, ProbeKind.HTTP, 12.0, asked_ms=11.0)
    assert relay.state_at(12.0) is RelayState.READY


def test_a_media_port_that_answered_and_stopped_makes_a_relay_stale() -> None:
    registry = RelayRegistry()
    relay = linked(registry, 0.0)
    for kind in ProbeKind:
        registry.on_probe(relay, kind, 0.0, asked_ms=0.0)
    registry.on_probe(relay, ProbeKind.HTTP, 1000.0, asked_ms=1000.0)
    registry.on_beat(relay, beat(), 1000.0)
    assert relay.state_at(1000.0) is RelayState.SILENT
    assert not registry.loads(1000.0)[0].fresh


def test_without_link_and_http_a_media_port_alone_is_no_relay() -> None:
    registry = RelayRegistry()
    registry.restore(hello(), 0.0)
    registry.on_probe(registry.get("relay-1"), ProbeKind.STUN, 50.0, asked_ms=40.0)
    assert registry.get("relay-1").state_at(50.0) is RelayState.LOST


def test_lost_relays_stay_in_view_for_a_minute() -> None:
    registry = RelayRegistry()
    link = FakeLink()
    relay = registry.hello(hello(), link, 0.0)
    registry.link_lost(relay, link, 0.0)
    registry.forget_lost(FORGET_MS)
    assert registry.relays() == [relay]
    registry.on_probe(relay, ProbeKind.HTTP, FORGET_MS, asked_ms=FORGET_MS)
    registry.forget_lost(FORGET_MS + 1)
    assert registry.relays() == [relay]  # it serves without a link
    registry.forget_lost(FORGET_MS + 2000)
    assert registry.relays() == []


def test_viewers_on_their_way_count_until_they_are_seen() -> None:
    registry = RelayRegistry()
    relay = linked(registry)
    for n in range(3):
        registry.on_placed("relay-1", "an-phu", f"t{n}", 0.0)
    assert registry.loads(0.0)[0].viewers == 3
    registry.on_beat(relay, beat(2), 200.0)
    assert registry.loads(200.0)[0].viewers == 3  # two have come, one is on its way
    assert registry.loads(UNDER_WAY_MS + 201)[0].viewers == 2  # and never came


def test_a_viewer_that_comes_back_unseen_could_not_reach_its_relay() -> None:
    registry = RelayRegistry()
    linked(registry)
    registry.on_placed("relay-1", "an-phu", "token", 0.0)
    assert registry.unreached("an-phu", "token", 100.0) == frozenset()  # a second screen
    assert registry.unreached("an-phu", "token", 1000.0) == {"relay-1"}
    assert registry.unreached("an-phu", "token", 2000.0) == {"relay-1"}
    assert registry.unreached("an-phu", "other", 1000.0) == frozenset()
    assert registry.unreached("an-phu", "token", 2000.0 + AVOID_MS) == frozenset()


def test_a_viewer_that_was_seen_there_may_come_back_there() -> None:
    registry = RelayRegistry()
    relay = linked(registry)
    registry.on_placed("relay-1", "an-phu", "token", 0.0)
    registry.on_report(relay, report("an-phu"), 500.0)
    assert registry.unreached("an-phu", "token", 1000.0) == frozenset()


def test_origins_are_not_placed_and_the_one_with_the_publisher_is_first() -> None:
    registry = RelayRegistry()
    for name in ("origin-a", "origin-b"):
        relay = registry.hello(hello(name, role="origin"), FakeLink(), 0.0)
        registry.on_beat(relay, beat(), 0.0)
    assert registry.loads(0.0) == []
    assert [r.id for r in registry.origins(0.0)] == ["origin-a", "origin-b"]
    snapshot = NodeSnapshot((stream((), (publisher(),)),), 0.0, 0.0, 7000)
    registry.on_report(registry.get("origin-b"), Report(snapshot=snapshot), 0.0)
    assert [r.id for r in registry.origins(0.0)] == ["origin-b", "origin-a"]


def test_the_operators_drain_ends_with_the_process() -> None:
    registry = RelayRegistry()
    relay = linked(registry)
    registry.set_drained(relay, True)
    assert relay.state_at(0.0) is RelayState.DRAINING
    assert registry.loads(0.0)[0].draining
    assert registry.hello(hello(), FakeLink(), 10.0).drained  # linked anew, the same process
    assert not registry.hello(hello(instance="i2", pid=1), FakeLink(), 5000.0).drained


def test_affinity_is_of_the_relay_and_of_the_configuration() -> None:
    registry = RelayRegistry()
    registry.set_affinity({"relay-1": ("ha-bac",)})
    relay = registry.hello(hello(affinity=("an-phu",)), FakeLink(), 0.0)
    registry.on_beat(relay, beat(), 0.0)
    assert registry.loads(0.0)[0].affinity == {"an-phu", "ha-bac"}
