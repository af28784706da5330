"""What the hub knows of each relay, and by what evidence. No I/O: time and messages come in.

A relay is `joining` until it says that it is ready, `ready` while beats and probes prove it,
`silent` when its link stands but the proof has stopped or it says that it cannot serve, `draining`
by its own or the operator's will, `lost` when its link is gone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel

from hub.state.placement import RelayLoad
from relay.control.messages import Beat, Hello, Report
from relay.node.snapshot import NodeSnapshot

BEAT_FRESH_MS = 600.0
PROBE_FRESH_MS = 900.0
FORGET_MS = 60_000.0
UNDER_WAY_MS = 8000.0
"""A viewer that was sent somewhere counts there so long, or until it is seen there."""
REACH_MS = 10_000.0
AVOID_MS = 30_000.0
SETTLE_MS = 300.0
"""A placement younger than this is a second viewer behind one link, not a failed first one."""


class RelayState(StrEnum):
    """What an operator sees."""

    JOINING = "joining"
    READY = "ready"
    SILENT = "silent"
    DRAINING = "draining"
    LOST = "lost"


class ProbeKind(StrEnum):
    """Ways to a relay that the hub tries. A viewer needs both."""

    HTTP = "http"
    STUN = "stun"


class Connection(Protocol):
    """The link to one relay."""

    def send(self, message: BaseModel) -> bool:
        """False when it is closed."""

    def close(self, code: int, reason: str) -> None: ...


class DuplicateRelayError(ValueError):
    """Another living process has this id."""


@dataclass
class Relay:
    """One relay. *_ms: monotonic; evidence by kind of probe only once that kind has worked."""

    hello: Hello
    connection: Connection | None
    since_ms: float
    beat: Beat | None = None
    beat_ms: float = float("-inf")
    snapshot: NodeSnapshot | None = None
    reported_ms: float = float("-inf")
    lost_ms: float | None = None
    drained: bool = False
    probes_ms: dict[ProbeKind, float] = field(default_factory=dict)
    under_way: deque[tuple[float, str]] = field(default_factory=deque)

    @property
    def id(self) -> str:
        return self.hello.id

    @property
    def evidence_ms(self) -> float:
        """Of the last proof of life of any kind."""
        return max(self.beat_ms, *self.probes_ms.values(), self.since_ms)

    @property
    def draining(self) -> bool:
        """By its own or the operator's will."""
        return self.drained or bool(self.beat and self.beat.draining)

    def send(self, message: BaseModel) -> bool:
        """False when its link is down."""
        return self.connection is not None and self.connection.send(message)

    def is_fresh(self, now_ms: float) -> bool:
        """Whether every kind of evidence that it has ever given is recent."""
        probed = all(now_ms - at_ms < PROBE_FRESH_MS for at_ms in self.probes_ms.values())
        return probed and (self.connection is None or now_ms - self.beat_ms < BEAT_FRESH_MS)

    def state_at(self, now_ms: float) -> RelayState:
        """See the module's first lines."""
        reached = ProbeKind.HTTP in self.probes_ms and self.is_fresh(now_ms)
        if self.connection is None and not reached:
            return RelayState.LOST
        if self.draining:
            return RelayState.DRAINING
        if self.beat is None:
            # Without a link probes have proved it: the store knew it from before.
            return RelayState.JOINING if self.connection else RelayState.READY
        if not self.beat.ready or not self.is_fresh(now_ms):
            return RelayState.SILENT
        return RelayState.READY

    def viewers(self, now_ms: float) -> int:
        """Those whom it reports, and those who are on their way."""
        while self.under_way and now_ms - self.under_way[0][0] > UNDER_WAY_MS:
            self.under_way.popleft()
        return (self.beat.viewers if self.beat else 0) + len(self.under_way)


class RelayRegistry:
    """All relays and origins. `version` counts changes that other relays must be told of."""

    def __init__(self) -> None:
        self.version = 0
        self._relays: dict[str, Relay] = {}
        self._placed: dict[str, tuple[float, str, int]] = {}
        self._avoid: dict[str, dict[str, float]] = defaultdict(dict)
        self._affinity: dict[str, frozenset[str]] = {}

    # -- what comes in

    def hello(self, hello: Hello, connection: Connection, now_ms: float) -> Relay:
        """A relay has linked. Raises DuplicateRelayError."""
        known = self._relays.get(hello.id)
        drained = False
        if known is not None:
            alive = known.connection is not None and now_ms - known.beat_ms < BEAT_FRESH_MS
            if alive and known.hello.instance != hello.instance and known.hello.pid != hello.pid:
                raise DuplicateRelayError(f"a living relay has the id {hello.id} already")
            if known.connection is not None:
                known.connection.close(4001, "linked anew")
            drained = known.drained and known.hello.instance == hello.instance
        relay = Relay(hello, connection, now_ms, drained=drained)
        if known is not None and known.hello.instance == hello.instance:
            relay.snapshot, relay.reported_ms = known.snapshot, known.reported_ms
        self._relays[hello.id] = relay
        self.version += 1
        return relay

    def restore(self, hello: Hello, now_ms: float) -> None:
        """A relay that the store remembers: it counts once a probe has reached it."""
        if hello.id not in self._relays:
            self._relays[hello.id] = Relay(hello, None, now_ms, lost_ms=now_ms)

    def on_beat(self, relay: Relay, beat: Beat, now_ms: float) -> None:
        """It lives."""
        before = relay.beat
        relay.beat, relay.beat_ms = beat, now_ms
        if before is None or (before.ready, before.draining) != (beat.ready, beat.draining):
            self.version += 1
        grown = beat.viewers - (before.viewers if before else 0)
        for _ in range(min(max(0, grown), len(relay.under_way))):
            relay.under_way.popleft()

    def on_report(self, relay: Relay, report: Report, now_ms: float) -> None:
        """Everything that can be seen of it."""
        relay.snapshot, relay.reported_ms = report.snapshot, now_ms

    def on_probe(self, relay: Relay, kind: ProbeKind, now_ms: float, *, asked_ms: float) -> None:
        """It answered a probe of this kind. What was asked before its link broke proves nothing."""
        if relay.lost_ms is None or asked_ms >= relay.lost_ms:
            relay.probes_ms[kind] = now_ms

    def link_lost(self, relay: Relay, connection: Connection, now_ms: float) -> None:
        """Its link is gone: so is it, until a probe says otherwise."""
        if relay.connection is connection:
            relay.connection, relay.lost_ms = None, now_ms
            relay.probes_ms.clear()
            self.version += 1

    def forget_lost(self, now_ms: float) -> None:
        """Relays that have been away for long leave the operator's view."""
        for relay in tuple(self._relays.values()):
            away_ms = 0.0 if relay.lost_ms is None else now_ms - relay.lost_ms
            if away_ms > FORGET_MS and relay.state_at(now_ms) is RelayState.LOST:
                del self._relays[relay.id]

    # -- the operator's will

    def set_drained(self, relay: Relay, drained: bool) -> None:
        """Place nobody there, or again."""
        relay.drained = drained
        self.version += 1

    def set_affinity(self, affinity: dict[str, tuple[str, ...]]) -> None:
        """Communes that relays are for, beside what they say themselves."""
        self._affinity = {relay: frozenset(slugs) for relay, slugs in affinity.items()}

    # -- placement

    def on_placed(self, relay_id: str, commune: str, token_id: str, now_ms: float) -> None:
        """A viewer was sent to a relay."""
        relay = self._relays.get(relay_id)
        if relay is not None:
            relay.under_way.append((now_ms, commune))
            seen = _sessions_of(relay, commune)
            self._placed[token_id] = (now_ms, relay_id, seen)
            while len(self._placed) > 4096:
                del self._placed[next(iter(self._placed))]

    def unreached(self, commune: str, token_id: str, now_ms: float) -> frozenset[str]:
        """Relays that this viewer was sent to lately without ever being seen there."""
        placed = self._placed.get(token_id)
        if placed is not None:
            at_ms, relay_id, seen = placed
            relay = self._relays.get(relay_id)
            waited_ms = now_ms - at_ms
            absent = relay is not None and _sessions_of(relay, commune) <= seen
            if SETTLE_MS < waited_ms < REACH_MS and absent:
                self._avoid[token_id][relay_id] = now_ms + AVOID_MS
        avoided = {r: until for r, until in self._avoid.get(token_id, {}).items() if until > now_ms}
        if avoided:
            self._avoid[token_id] = avoided
        else:
            self._avoid.pop(token_id, None)
        return frozenset(avoided)

    # -- what is seen

    def relays(self) -> list[Relay]:
        """All that are known, lost ones too."""
        return list(self._relays.values())

    def get(self, relay_id: str) -> Relay:
        """Raises KeyError."""
        return self._relays[relay_id]

    def loads(self, now_ms: float) -> list[RelayLoad]:
        """Relays (not origins) as placement sees them."""
        return [
            self._load(relay, now_ms)
            for relay in self._relays.values()
            if relay.hello.role == "relay"
        ]

    def viewers_of(self, commune: str) -> int:
        """Viewers of a commune on all relays, as last reported."""
        return sum(_sessions_of(r, commune) for r in self._relays.values() if r.connection)

    def origins(self, now_ms: float) -> list[Relay]:
        """Origins that live, those with a publisher first, then by id."""
        alive = (RelayState.READY, RelayState.DRAINING)
        found = [
            relay
            for relay in self._relays.values()
            if relay.hello.role == "origin" and relay.state_at(now_ms) in alive
        ]
        return sorted(found, key=lambda r: (r.draining, not _publishes(r), r.id))

    def _load(self, relay: Relay, now_ms: float) -> RelayLoad:
        state = relay.state_at(now_ms)
        said = frozenset(relay.hello.affinity)
        ready = state is RelayState.READY or (
            state is RelayState.SILENT and bool(relay.beat and relay.beat.ready)
        )
        return RelayLoad(
            id=relay.id,
            capacity=relay.hello.capacity,
            viewers=relay.viewers(now_ms),
            ready=ready,
            draining=relay.draining,
            fresh=relay.is_fresh(now_ms),
            affinity=said | self._affinity.get(relay.id, frozenset()),
            busy=relay.beat.cpu if relay.beat else 0.0,
        )


def _sessions_of(relay: Relay, commune: str) -> int:
    """Sessions of a commune that ever came up there, as far as the last report tells."""
    streams = relay.snapshot.streams if relay.snapshot else ()
    return sum(v.commune == commune and v.connected for s in streams for v in s.viewers)


def _publishes(relay: Relay) -> bool:
    streams = relay.snapshot.streams if relay.snapshot else ()
    return any(not p.pulled for s in streams for p in s.publishers)
