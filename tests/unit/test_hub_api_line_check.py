"""Reports of line checks over HTTP: who may, what is refused, what operators are shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.state.line_verdict import LineFigures, judge, sentence
from tests.unit.hub_fakes import FakeHub, fake_hub

PATH, ALL = "/api/line-check", "/api/operator/line-checks"
REPORT: dict[str, Any] = {
    "via": "page",
    "udp": {"ok": False, "connect_ms": None},
    "tcp": {"ok": True, "connect_ms": 16},
    "turn": None,
    "rtt_ms": 11,
    "jitter_ms": 1,
    "loss_ratio": 0.0,
    "steps": [{"bps": 3_200_000, "received_bps": 3_161_093, "loss_ratio": 0.0}],
    "codecs": ["H264", "VP8"],
}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[FakeHub]:
    async with fake_hub(tmp_path) as hub:
        yield hub


async def test_a_commune_is_told_the_verdict_and_operators_see_it(hub: FakeHub) -> None:
    headers = {**hub.bearer("view", "an-phu"), "User-Agent": "Firefox/150"}
    response = await hub.client.post(PATH, json=REPORT, headers=headers)
    assert response.status == 200
    verdict = await response.json()
    assert (verdict["verdict"], verdict["reasons"]) == ("limited", ["udp-blocked"])
    assert "UDP" in verdict["vi"]
    answer = await hub.client.get(ALL, headers=hub.bearer("operate"))
    kept = (await answer.json())["line_checks"]
    assert list(kept) == ["an-phu"]
    assert verdict.items() <= kept["an-phu"].items()
    assert (kept["an-phu"]["down_bps"], kept["an-phu"]["user_agent"]) == (3_161_093, "Firefox/150")
    hub.poll()
    rows = {c["slug"]: c["line_check"] for c in hub.telemetry.overview()["communes"]}
    assert rows == {"an-phu": kept["an-phu"], "thanh-dong": None}


async def test_the_last_report_counts(hub: FakeHub) -> None:
    headers = hub.bearer("view", "an-phu")
    await hub.client.post(PATH, json=REPORT, headers=headers)
    await hub.client.post(PATH, json={**REPORT, "udp": {"ok": True}}, headers=headers)
    assert hub.telemetry.line_checks.all()["an-phu"]["verdict"] == "ready"


@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("POST", PATH, None, 401),
        ("POST", PATH, "publish", 403),
        ("POST", PATH, "operate", 403),
        ("GET", ALL, None, 401),
        ("GET", ALL, "view", 403),
    ],
)
async def test_scopes(hub: FakeHub, method: str, path: str, scope: Any, status: int) -> None:
    headers = hub.bearer(scope, "an-phu") if scope else {}
    response = await hub.client.request(method, path, json=REPORT, headers=headers)
    assert response.status == status
    assert hub.telemetry.line_checks.all() == {}


@pytest.mark.parametrize(
    "change",
    [
        {"via": "rumour"},
        {"udp": None},
        {"tcp": {"ok": "perhaps"}},
        {"rtt_ms": -1},
        {"loss_ratio": 1.5},
        {"steps": [{"bps": 1, "received_bps": 1e12}]},
        {"steps": [{"bps": 1, "received_bps": 1}] * 9},
        {"codecs": ["H264"] * 17},
    ],
)
async def test_nonsense_is_refused_by_name(hub: FakeHub, change: dict[str, Any]) -> None:
    headers = hub.bearer("view", "an-phu")
    response = await hub.client.post(PATH, json={**REPORT, **change}, headers=headers)
    assert response.status == 400
    assert next(iter(change)) in (await response.json())["detail"]
    assert hub.telemetry.line_checks.all() == {}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"via": NaN}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"x" * 8193, "application/json", 413),
        (b"{}", "text/plain", 415),
    ],
)
async def test_bodies(hub: FakeHub, body: bytes, content_type: str, status: int) -> None:
    headers = {**hub.bearer("view", "an-phu"), "Content-Type": content_type}
    assert (await hub.client.post(PATH, data=body, headers=headers)).status == status


async def test_a_flood_of_one_link_is_refused_and_another_is_not(hub: FakeHub) -> None:
    headers = hub.bearer("view", "an-phu")
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 100:
        statuses.append((await hub.client.post(PATH, json=REPORT, headers=headers)).status)
    assert statuses[0] == 200
    assert statuses[-1] == 429
    other = hub.bearer("view", "thanh-dong")
    assert (await hub.client.post(PATH, json=REPORT, headers=other)).status == 200


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(REPORT)), _json))
def test_any_json_is_judged_or_refused(values: dict[str, Any]) -> None:
    try:
        figures = LineFigures.model_validate_json(json.dumps({**REPORT, **values}))
    except ValidationError:
        return
    verdict = judge(figures)
    assert all(sentence(verdict))
    json.dumps(figures.model_dump(mode="json"), allow_nan=False)
