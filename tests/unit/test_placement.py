"""Placement: rows of relays and the choice each must give, and what holds for any relays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.roster import Roster
from hub.state.placement import Placement, RelayLoad, alternatives, place, rank

COMMUNES = [commune.slug for commune in Roster.load().viewers]
ROUNDING = 1e-9


def relay(name: str, viewers: int = 0, **facts: object) -> RelayLoad:
    """A relay in good health."""
    clean = RelayLoad(name, capacity=500, viewers=viewers, ready=True, draining=False, fresh=True)
    return replace(clean, **facts)  # type: ignore[arg-type]


def fleet(count: int) -> list[RelayLoad]:
    return [relay(f"relay-{number}") for number in range(1, count + 1)]


def arrive(
    communes: Iterable[str], relays: Sequence[RelayLoad]
) -> tuple[dict[str, Placement], dict[str, int], float]:
    """One by one: where each went, each relay's viewers, how far one was ever past its share."""
    loads = {r.id: r for r in relays}
    weight = sum(r.capacity for r in relays)
    placed: dict[str, Placement] = {}
    furthest = -math.inf
    for seen, commune in enumerate(communes, start=1):
        found = place(commune, list(loads.values()))
        assert found is not None
        placed[commune] = found
        chosen = loads[found.relay]
        loads[found.relay] = replace(chosen, viewers=chosen.viewers + 1)
        furthest = max(furthest, chosen.viewers + 1 - seen * chosen.capacity / weight - ROUNDING)
    return placed, {name: load.viewers for name, load in loads.items()}, furthest


# -- rows, for an-phu, which ranks relay-3 (C), relay-2 (B), relay-1 (A)

A, B, C = fleet(3)
NOBODY: frozenset[str] = frozenset()
FOR_US, FOR_OTHERS = frozenset({"an-phu", "bach-dang"}), frozenset({"ha-bac"})


def with_viewers(a: int, b: int, c: int) -> list[RelayLoad]:
    return [replace(A, viewers=a), replace(B, viewers=b), replace(C, viewers=c)]


def stale(load: RelayLoad) -> RelayLoad:
    return replace(load, fresh=False)


def full(load: RelayLoad) -> RelayLoad:
    return replace(load, viewers=load.capacity)


LOAD_ROWS: list[tuple[str, list[RelayLoad], str | None, str]] = [
    ("no relay", [], None, ""),
    ("the first by hash", [A, B, C], "relay-3", "hash"),
    ("even load", with_viewers(21, 21, 21), "relay-3", "hash"),
    (
        "one past its share, as in the decision record",
        with_viewers(20, 21, 22),
        "relay-2",
        "overflow",
    ),
    ("first and second past theirs", with_viewers(10, 22, 22), "relay-1", "overflow"),
    ("5 % of a large share", with_viewers(400, 400, 418), "relay-3", "hash"),
    ("past 5 %", with_viewers(400, 400, 440), "relay-2", "overflow"),
    ("a weak relay's share", [A, B, replace(C, capacity=50, viewers=2)], "relay-2", "overflow"),
    ("not ready", [A, B, replace(C, ready=False)], "relay-2", "hash"),
    ("draining", [A, B, replace(C, draining=True)], "relay-2", "hash"),
    ("none ready", [replace(r, ready=False) for r in (A, B, C)], None, ""),
    ("all draining", [replace(r, draining=True) for r in (A, B, C)], None, ""),
    ("full", [A, B, replace(C, capacity=9, viewers=9)], "relay-2", "hash"),
    ("fuller than full", [A, B, replace(C, capacity=9, viewers=12)], "relay-2", "hash"),
    ("all full", [full(A), full(B), full(C)], None, ""),
    ("no capacity", [replace(A, capacity=0)], None, ""),
    ("fresh before stale", [A, B, stale(C)], "relay-2", "hash"),
    ("fresh though loaded", [replace(A, viewers=40), stale(C)], "relay-1", "hash"),
    ("all stale", [stale(A), stale(B), stale(C)], "relay-3", "stale"),
    ("fresh but full", [full(A), stale(B), stale(C)], "relay-3", "stale"),
    ("busy", [A, B, replace(C, busy=0.9)], "relay-2", "overflow"),
    ("nearly busy", [A, B, replace(C, busy=0.85)], "relay-3", "hash"),
    ("all busy", [replace(r, busy=0.9) for r in (A, B, C)], "relay-3", "hash"),
    ("unknown load: busy", [A, B, replace(C, busy=math.nan)], "relay-2", "overflow"),
    (
        "all calm ones past their share: the least loaded",
        [replace(A, viewers=10), replace(B, viewers=12), replace(C, busy=0.9)],
        "relay-1",
        "overflow",
    ),
    (
        "the least loaded for its weight",
        [replace(A, viewers=10, capacity=50), replace(B, viewers=12), replace(C, busy=0.9)],
        "relay-2",
        "overflow",
    ),
    ("pinned", [replace(A, affinity=FOR_US), B, C], "relay-1", "pinned"),
    (
        "pinned, past its share",
        [replace(A, affinity=FOR_US, viewers=90), B, C],
        "relay-1",
        "pinned",
    ),
    ("pinned, full", [full(replace(A, affinity=FOR_US)), B, C], "relay-3", "hash"),
    ("pinned, stale", [stale(replace(A, affinity=FOR_US)), B, C], "relay-3", "hash"),
    ("pinned, draining", [replace(A, affinity=FOR_US, draining=True), B, C], "relay-3", "hash"),
    ("pinned to two", [replace(r, affinity=FOR_US) for r in (A, B)] + [C], "relay-2", "pinned"),
    ("takes others too", [A, B, replace(C, affinity=FOR_OTHERS)], "relay-3", "hash"),
    (
        "others only while it has room",
        [A, B, replace(C, affinity=FOR_OTHERS, viewers=5)],
        "relay-2",
        "overflow",
    ),
]


@pytest.mark.parametrize(("_name", "relays", "expected", "reason"), LOAD_ROWS)
def test_a_viewer_of_an_phu_goes_to(
    _name: str, relays: list[RelayLoad], expected: str | None, reason: str
) -> None:
    found = place("an-phu", relays)
    assert (found.relay, found.reason) == (expected, reason) if found else expected is None


CHOICE_ROWS: list[tuple[str, list[RelayLoad], frozenset[str], str | None, str, str]] = [
    ("chosen", [A, B, C], NOBODY, "relay-1", "relay-1", "pinned"),
    (
        "chosen before pinned",
        [A, replace(B, affinity=FOR_US), C],
        NOBODY,
        "relay-1",
        "relay-1",
        "pinned",
    ),
    ("chosen, past its share", with_viewers(90, 0, 0), NOBODY, "relay-1", "relay-1", "pinned"),
    ("chosen, full", [full(A), B, C], NOBODY, "relay-1", "relay-3", "hash"),
    ("chosen, draining", [replace(A, draining=True), B, C], NOBODY, "relay-1", "relay-3", "hash"),
    ("chosen, stale", [stale(A), B, C], NOBODY, "relay-1", "relay-3", "hash"),
    ("chosen, all stale", [stale(A), stale(C)], NOBODY, "relay-1", "relay-1", "pinned"),
    ("chosen, gone", [B, C], NOBODY, "relay-1", "relay-3", "hash"),
    (
        "chosen full, pinned next",
        [full(A), replace(B, affinity=FOR_US), C],
        NOBODY,
        "relay-1",
        "relay-2",
        "pinned",
    ),
    ("chosen, not reached", [A, B, C], frozenset({"relay-1"}), "relay-1", "relay-3", "hash"),
    ("not reached", [A, B, C], frozenset({"relay-3"}), None, "relay-2", "hash"),
    ("two not reached", [A, B, C], frozenset({"relay-3", "relay-2"}), None, "relay-1", "hash"),
    (
        "none reached: better than nothing",
        [A, B, C],
        frozenset({"relay-1", "relay-2", "relay-3"}),
        None,
        "relay-3",
        "hash",
    ),
    (
        "stale before not reached",
        [stale(A), stale(B), C],
        frozenset({"relay-3"}),
        None,
        "relay-2",
        "stale",
    ),
    (
        "none reached, one fresh",
        [A, stale(C)],
        frozenset({"relay-1", "relay-3"}),
        None,
        "relay-1",
        "hash",
    ),
    (
        "pinned, not reached",
        [A, B, replace(C, affinity=FOR_US)],
        frozenset({"relay-3"}),
        None,
        "relay-2",
        "hash",
    ),
]


@pytest.mark.parametrize(("_name", "relays", "avoid", "chosen", "expected", "reason"), CHOICE_ROWS)
def test_choices_and_failures_count(
    _name: str,
    relays: list[RelayLoad],
    avoid: frozenset[str],
    chosen: str | None,
    expected: str,
    reason: str,
) -> None:
    found = place("an-phu", relays, avoid=avoid, chosen=chosen)
    assert found is not None
    assert (found.relay, found.reason) == (expected, reason)


@pytest.mark.parametrize(
    ("commune", "order"),
    [
        ("an-phu", "3421"),
        ("ha-bac", "1423"),
        ("hai-duong", "4132"),
        ("le-thanh-nghi", "3412"),
        ("viet-hoa", "4123"),
        ("thanh-dong", "3214"),
    ],
)
def test_ranks_stay_as_they_are_from_version_to_version(commune: str, order: str) -> None:
    assert [r.id for r in rank(commune, fleet(4))] == [f"relay-{digit}" for digit in order]


@pytest.mark.parametrize(
    ("relays", "first", "expected"),
    [
        ([], None, ""),
        ([A, B, C], None, "321"),
        ([A, B, C], "relay-1", "132"),
        ([A, B, C], "gone", "321"),
        ([A, B, stale(C)], None, "213"),
        ([stale(A), B, C], "relay-1", "321"),
        ([stale(A), stale(B), C], "relay-1", "312"),
        ([A, replace(B, draining=True), C], "relay-2", "31"),
        ([A, B, replace(C, ready=False)], None, "21"),
        ([A, full(B), C], None, "321"),
        ([replace(A, affinity=FOR_US), B, C], None, "132"),
        ([replace(A, affinity=FOR_US), B, C], "relay-2", "213"),
    ],
)
def test_a_page_may_try(relays: list[RelayLoad], first: str | None, expected: str) -> None:
    found = alternatives("an-phu", relays, first=first)
    assert found == [f"relay-{digit}" for digit in expected]


# -- spread


@pytest.mark.parametrize("count", range(2, 9))
def test_communes_spread_evenly_over_equal_relays(count: int) -> None:
    even = len(COMMUNES) / count
    _, viewers, furthest = arrive(COMMUNES, fleet(count))
    assert all(0.8 * even <= n <= 1.2 * even for n in viewers.values())
    assert furthest <= max(1.0, 0.05 * even)


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(COMMUNES), count=st.integers(2, 8), salt=st.integers(0, 10_000))
def test_no_relay_is_ever_past_its_share_by_more_than_the_slack(
    order: list[str], count: int, salt: int
) -> None:
    relays = [relay(f"{salt}-{number}") for number in range(count)]
    _, viewers, furthest = arrive(order, relays)
    assert furthest <= max(1.0, 0.05 * len(order) / count)
    assert sum(viewers.values()) == len(order)


def test_load_follows_weight() -> None:
    relays = [relay(f"relay-{weight}", capacity=100 * weight) for weight in (1, 2, 3)]
    _, viewers, furthest = arrive(COMMUNES, relays)
    assert furthest <= 0.05 * len(COMMUNES) / 2
    for weight in (1, 2, 3):
        even = len(COMMUNES) * weight / 6
        assert 0.8 * even <= viewers[f"relay-{weight}"] <= 1.2 * even


def test_ranks_follow_weight() -> None:
    """Thousands of names: within three standard deviations of 1 : 2 : 3."""
    relays = [relay(f"relay-{weight}", capacity=100 * weight) for weight in (1, 2, 3)]
    first = Counter(rank(f"commune-{number}", relays)[0].id for number in range(6000))
    for weight in (1, 2, 3):
        share = weight / 6
        deviation = math.sqrt(6000 * share * (1 - share))
        assert abs(first[f"relay-{weight}"] - 6000 * share) < 3 * deviation


def test_a_province_of_relays_carries_a_province_of_communes() -> None:
    relays = [relay(f"relay-{number}") for number in range(500)]
    _, viewers, furthest = arrive([f"commune-{number}" for number in range(700)], relays)
    assert sum(viewers.values()) == 700
    assert furthest <= 1.0


# -- movement


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 8), gone=st.integers(0, 7))
def test_a_relay_that_goes_moves_its_own_communes_alone(count: int, gone: int) -> None:
    relays = fleet(count)
    left = [r for index, r in enumerate(relays) if index != gone % count]
    for commune in COMMUNES:
        before = [r for r in rank(commune, relays) if r in left]
        assert before == rank(commune, left)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(3, 8), gone=st.integers(0, 7))
def test_with_bounded_load_only_overflow_moves_besides(count: int, gone: int) -> None:
    relays = fleet(count)
    lost = relays[gone % count].id
    before, _, _ = arrive(COMMUNES, relays)
    after, _, _ = arrive(COMMUNES, [r for r in relays if r.id != lost])
    for commune in COMMUNES:
        settled = before[commune].reason == after[commune].reason == "hash"
        if settled and before[commune].relay != lost:
            assert after[commune].relay == before[commune].relay


def test_a_relay_that_returns_gets_its_communes_back() -> None:
    for commune in COMMUNES:
        with_it, without = rank(commune, fleet(4))[0], rank(commune, fleet(3))[0]
        assert with_it.id in (without.id, "relay-4")


# -- what holds for any relays

NAMES = [f"relay-{number}" for number in range(1, 7)]
RELAYS = st.lists(
    st.builds(
        RelayLoad,
        id=st.sampled_from(NAMES),
        capacity=st.integers(0, 40),
        viewers=st.integers(0, 45),
        ready=st.booleans(),
        draining=st.booleans(),
        fresh=st.booleans(),
        affinity=st.frozensets(st.sampled_from(COMMUNES[:3])),
        busy=st.floats(0, 1.5),
    ),
    max_size=6,
    unique_by=lambda load: load.id,
)
AVOIDED = st.frozensets(st.sampled_from(NAMES))
CHOSEN = st.none() | st.sampled_from(NAMES)


@given(
    relays=RELAYS,
    commune=st.sampled_from(COMMUNES[:3]),
    avoid=AVOIDED,
    chosen=CHOSEN,
    data=st.data(),
)
def test_the_order_of_relays_does_not_matter(
    relays: list[RelayLoad],
    commune: str,
    avoid: frozenset[str],
    chosen: str | None,
    data: st.DataObject,
) -> None:
    shuffled = data.draw(st.permutations(relays))
    assert place(commune, shuffled, avoid=avoid, chosen=chosen) == place(
        commune, relays, avoid=avoid, chosen=chosen
    )
    assert alternatives(commune, shuffled, first=chosen) == alternatives(
        commune, relays, first=chosen
    )


@given(relays=RELAYS, commune=st.sampled_from(COMMUNES[:3]), avoid=AVOIDED, chosen=CHOSEN)
def test_a_relay_is_found_exactly_when_one_can_take_the_viewer(
    relays: list[RelayLoad], commune: str, avoid: frozenset[str], chosen: str | None
) -> None:
    able = {r.id: r for r in relays if r.ready and not r.draining and r.viewers < r.capacity}
    found = place(commune, relays, avoid=avoid, chosen=chosen)
    assert (found is None) == (not able)
    if found is not None:
        assert found.relay in able
        assert found.relay not in avoid or able.keys() <= avoid
        reachable = [r for r in able.values() if r.id not in avoid] or list(able.values())
        assert able[found.relay].fresh == any(r.fresh for r in reachable)


@given(relays=RELAYS, commune=st.sampled_from(COMMUNES[:3]), first=CHOSEN)
def test_alternatives_are_all_that_serve_stale_ones_last(
    relays: list[RelayLoad], commune: str, first: str | None
) -> None:
    able = {r.id: r for r in relays if r.ready and not r.draining}
    order = alternatives(commune, relays, first=first)
    assert sorted(order) == sorted(able)
    stale_ones = [not able[name].fresh for name in order]
    assert stale_ones == sorted(stale_ones)
