"""All nodes as one: who publishes, who watches where, what is counted once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pydantic import BaseModel

from hub.relays.fleet import HOLD_MS, Fleet, merged_streams
from hub.relays.relay_rows import RelayTable
from relay.control.messages import Beat, Close, Hello, Keyframe
from relay.node.snapshot import NodeSnapshot, UpstreamSnapshot
from tests.unit.hub_fakes import publisher, stream, viewer


def node(name: str, *streams: object, **counts: int) -> NodeSnapshot:
    return NodeSnapshot(streams, 0.0, 0.0, 7000, name, **counts)  # type: ignore[arg-type]


def hello(name: str, role: str = "relay") -> Hello:
    return Hello(
        id=name,
        instance=name,
        role=role,  # type: ignore[arg-type]
        version="1",
        pid=1,
        base_url=f"http://{name}",
        media_port=1,
        capacity=100,
    )


@dataclass
class FakeRelay:
    hello: Hello
    snapshot: NodeSnapshot | None
    reported_ms: float = 0.0
    beat: Beat | None = None
    evidence_ms: float = 0.0
    up: bool = True
    sent: list[BaseModel] = field(default_factory=list)

    def send(self, message: BaseModel) -> bool:
        self.sent.append(message)
        return self.up


@dataclass
class FakeRelays:
    all: list[FakeRelay]

    def relays(self) -> list[FakeRelay]:
        return self.all


class Embedded:
    def __init__(self, snapshot: NodeSnapshot) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> NodeSnapshot:
        return self._snapshot

    def session(self, session_id: str) -> None:
        return None

    def request_keyframes(self, name: str) -> int:
        return 0


def test_viewers_of_all_nodes_with_the_node_that_serves_them() -> None:
    pulls = replace(viewer("pull", "relay-1"), scope="relay")
    nodes = [
        ("hub", node("hub", stream(state="off"))),
        ("origin", node("origin", stream((pulls,), (publisher(),)))),
        ("relay-1", node("relay-1", stream((viewer("s1", "an-phu"), viewer("s2", "ha-bac"))))),
    ]
    (merged,) = merged_streams(nodes)
    assert [(v.id, v.node) for v in merged.viewers] == [("s1", "relay-1"), ("s2", "relay-1")]
    assert [p.id for p in merged.publishers] == ["pub1"]
    assert merged.state == "on_air"


def test_a_relays_upstream_is_no_publisher() -> None:
    pulled = replace(publisher(), pulled=True)
    relay = ("relay-1", node("relay-1", stream((), (pulled,))))
    origin = ("origin", node("origin", stream(state="silent", publishers=(publisher(),))))
    (merged,) = merged_streams([relay, origin])
    assert len(merged.publishers) == 1
    assert merged.state == "silent"  # as the origin says, whatever a relay still believes


def test_counts_are_summed_and_streams_kept_apart() -> None:
    one = replace(stream(), nacked=3, repairs_sent=2, keyframes_asked=1, join_p95_ms=20.0)
    other = replace(stream(), nacked=4, repairs_sent=5, keyframes_asked=2, join_p95_ms=90.0)
    spare = replace(stream(), name="du-phong")
    merged = merged_streams([("a", node("a", one, spare)), ("b", node("b", other))])
    assert [s.name for s in merged] == ["phien-hop", "du-phong"]
    first = merged[0]
    assert (first.nacked, first.repairs_sent, first.keyframes_asked) == (7, 7, 3)
    assert first.join_p95_ms == 90.0


def test_a_report_counts_for_a_while_and_then_no_more() -> None:
    relay = FakeRelay(hello("relay-1"), node("relay-1", stream((viewer("s1", "an-phu"),))))
    now = [0.0]
    fleet = Fleet(Embedded(node("hub", stream())), FakeRelays([relay]), lambda: now[0])
    assert len(fleet.snapshot().streams[0].viewers) == 1
    now[0] = HOLD_MS + 1
    assert fleet.snapshot().streams[0].viewers == ()


async def test_a_session_is_ended_where_it_is() -> None:
    relays = [
        FakeRelay(hello("a"), node("a", stream((viewer("s1", "an-phu"),)))),
        FakeRelay(hello("b"), node("b", stream((viewer("s2", "an-phu"),)))),
    ]
    fleet = Fleet(Embedded(node("hub", stream())), FakeRelays(relays), lambda: 0.0)
    assert fleet.session("s3") is None
    session = fleet.session("s2")
    assert session is not None
    await session.close()
    assert relays[0].sent == []
    assert relays[1].sent == [Close(session="s2")]


def test_a_key_frame_is_asked_of_the_publisher_and_not_of_relays() -> None:
    pulled = replace(publisher(), pulled=True)
    relays = [
        FakeRelay(hello("relay-1"), node("relay-1", stream((), (pulled,)))),
        FakeRelay(hello("origin", "origin"), node("origin", stream((), (publisher(),)))),
    ]
    fleet = Fleet(Embedded(node("hub", stream())), FakeRelays(relays), lambda: 0.0)
    assert fleet.request_keyframes("phien-hop") == 1
    assert relays[0].sent == []
    assert relays[1].sent == [Keyframe(stream="phien-hop")]
    relays[1].up = False
    assert fleet.request_keyframes("phien-hop") == 0


def test_rows_have_the_rates_of_the_last_two_reports() -> None:
    upstream = UpstreamSnapshot("http://origin", "live", 10.0, 2.04, 1, ("origin",))
    pulled = replace(stream(), upstream=upstream)
    relay = FakeRelay(
        hello("relay-1"),
        node("relay-1", pulled, packets_received=100, packets_sent=1000, bytes_sent=10_000),
        beat=Beat(viewers=25, ready=True, draining=False, cpu=0.123, lag_ms=4.56),
    )
    table = RelayTable()
    (first,) = table.rows([(relay, "ready")], 0.0)
    assert (first["packets_in_per_s"], first["load"]) == (0, 0.25)
    assert (first["upstream"], first["lineage"], first["failovers"]) == ("live", ["origin"], 1)
    relay.reported_ms = 2000.0
    relay.snapshot = node(
        "relay-1", pulled, packets_received=900, packets_sent=9000, bytes_sent=2_510_000
    )
    (second,) = table.rows([(relay, "ready")], 2000.0)
    assert (second["packets_in_per_s"], second["packets_out_per_s"]) == (400, 4000)
    assert second["bitrate_bps"] == 10_000_000
    (again,) = table.rows([(relay, "ready")], 2100.0)
    assert again["packets_out_per_s"] == 4000
    # A process that began anew counts from nothing: no negative rate.
    relay.reported_ms, relay.snapshot = 3000.0, node("relay-1", pulled, packets_sent=5)
    (restarted,) = table.rows([(relay, "draining")], 3000.0)
    assert restarted["packets_out_per_s"] >= 0
    assert restarted["draining"]
    assert table.rows([], 4000.0) == []
