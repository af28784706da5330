"""Relays as the operator sees them: one row each, rates of the last seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from relay.control.messages import Beat, Hello
from relay.node.snapshot import NodeSnapshot

Json = dict[str, Any]


class SeenRelay(Protocol):
    """A relay as the registry knows it. evidence_ms: of the last proof that it serves."""

    @property
    def hello(self) -> Hello: ...

    @property
    def beat(self) -> Beat | None: ...

    @property
    def snapshot(self) -> NodeSnapshot | None: ...

    @property
    def reported_ms(self) -> float: ...

    @property
    def evidence_ms(self) -> float: ...


class RelayTable:
    """Remembers the last report of each relay for the rates."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, NodeSnapshot]] = {}
        self._rates: dict[str, tuple[float, float, float]] = {}

    def rows(self, relays: Sequence[tuple[SeenRelay, str]], now_ms: float) -> list[Json]:
        """Of (relay, state), by id. Rates are of the last two reports, ages in ms."""
        for gone in self._before.keys() - {relay.hello.id for relay, _ in relays}:
            del self._before[gone]
            self._rates.pop(gone, None)
        in_order = sorted(relays, key=lambda pair: pair[0].hello.id)
        return [self._row(relay, state, now_ms) for relay, state in in_order]

    def _row(self, relay: SeenRelay, state: str, now_ms: float) -> Json:
        hello, beat, snapshot = relay.hello, relay.beat, relay.snapshot
        packets_in, packets_out, bitrate = self._rate(relay)
        pull = _main_pull(snapshot)
        viewers = beat.viewers if beat else 0
        return {
            "id": hello.id,
            "role": hello.role,
            "state": state,
            "version": hello.version,
            "pid": hello.pid,
            "base_url": hello.base_url,
            "viewers": viewers,
            "capacity": hello.capacity,
            "load": round(viewers / hello.capacity, 3),
            "cpu": round(beat.cpu, 2) if beat else None,
            "lag_ms": round(beat.lag_ms, 1) if beat else None,
            "draining": state == "draining",
            "upstream": pull.state if pull else "none",
            "upstream_url": pull.url if pull else None,
            "upstream_rtt_ms": _rounded(pull.rtt_ms) if pull else None,
            "lineage": list(pull.lineage) if pull else [],
            "failovers": pull.failovers if pull else 0,
            "packets_in_per_s": round(packets_in),
            "packets_out_per_s": round(packets_out),
            "bitrate_bps": round(bitrate / 1000) * 1000,
            "silent_ms": round(max(0.0, now_ms - relay.evidence_ms), -2),
        }

    def _rate(self, relay: SeenRelay) -> tuple[float, float, float]:
        """(packets in, packets out, bits out) a second."""
        name, after = relay.hello.id, relay.snapshot
        if after is None:
            return 0.0, 0.0, 0.0
        at_ms, before = self._before.get(name, (relay.reported_ms, after))
        elapsed_s = (relay.reported_ms - at_ms) / 1000
        restarted = after.packets_sent < before.packets_sent
        if elapsed_s > 0 and not restarted:
            self._rates[name] = (
                (after.packets_received - before.packets_received) / elapsed_s,
                (after.packets_sent - before.packets_sent) / elapsed_s,
                (after.bytes_sent - before.bytes_sent) * 8 / elapsed_s,
            )
        if elapsed_s > 0 or name not in self._before:
            self._before[name] = (relay.reported_ms, after)
        return self._rates.get(name, (0.0, 0.0, 0.0))


def _main_pull(snapshot: NodeSnapshot | None) -> Any:
    """The pull that an operator asks about: the first that is wanted."""
    streams = snapshot.streams if snapshot else ()
    return next((s.upstream for s in streams if s.upstream is not None), None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
