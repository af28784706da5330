"""Browsers' reports over HTTP: what is taken, what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.telemetry.browser_report import BrowserReport
from tests.unit.hub_fakes import FakeHub, fake_hub, viewer

PATH = "/api/viewer/telemetry"
# What viewer_web/core/stats_digest.js sends.
REPORT: dict[str, Any] = {
    "session_id": "v1",
    "state": "playing",
    "packetsReceived": 1000,
    "packetsLost": -1,
    "bytesReceived": 10**6,
    "jitter": 0.004,
    "framesDecoded": 300,
    "framesDropped": 0,
    "keyFramesDecoded": 4,
    "framesPerSecond": 30,
    "freezeCount": 2,
    "totalFreezesDuration": 1.25,
    "jitterBufferDelay": 30.5,
    "jitterBufferEmittedCount": 300,
    "frameWidth": 1280,
    "frameHeight": 720,
    "concealedSamples": 0,
    "totalSamplesReceived": 480_000,
    "totalAudioEnergy": 0.3,
    "roundTripTime": None,
    "nackCount": 3,
    "audioNackCount": 1,
    "availableIncomingBitrate": 640_000.5,
    "transport": "relay",
    "line": "reduced",
    "pliCount": 0,
}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[FakeHub]:
    async with fake_hub(tmp_path) as hub:
        hub.node.show_viewers(viewer("v1", "an-phu"))
        hub.poll()
        yield hub


async def test_a_report_is_kept_for_its_session(hub: FakeHub) -> None:
    headers = {**hub.bearer("view", "an-phu"), "User-Agent": "Firefox/150"}
    response = await hub.client.post(PATH, json=REPORT, headers=headers)
    assert (response.status, await response.read()) == (204, b"")
    record = hub.telemetry.session("v1")
    assert record is not None
    assert record.user_agent == "Firefox/150"
    assert record.report is not None
    assert (record.report.frames_per_second, record.report.frame_width) == (30, 1280)


async def test_only_for_ones_own_session(hub: FakeHub) -> None:
    headers = hub.bearer("view", "thanh-dong")
    assert (await hub.client.post(PATH, json=REPORT, headers=headers)).status == 404
    record = hub.telemetry.session("v1")
    assert record is not None
    assert record.report is None


@pytest.mark.parametrize(
    "change",
    [
        {"framesPerSecond": -1},
        {"framesPerSecond": "many"},
        {"framesPerSecond": 1e9},
        {"freezeCount": 1.5},
        {"totalFreezesDuration": 1e300},
        {"frameWidth": 10**9},
        {"availableIncomingBitrate": -1},
        {"transport": "carrier pigeon"},
        {"line": "fine"},
        {"state": "<script>"},
        {"session_id": "../x"},
        {"session_id": None},
    ],
)
async def test_nonsense_is_refused(hub: FakeHub, change: dict[str, Any]) -> None:
    headers = hub.bearer("view", "an-phu")
    response = await hub.client.post(PATH, json={**REPORT, **change}, headers=headers)
    assert response.status == 400
    assert next(iter(change)) in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"session_id": NaN}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"x" * (16 * 1024 + 1), "application/json", 413),
        (b"{}", "text/plain", 415),
    ],
)
async def test_bodies(hub: FakeHub, body: bytes, content_type: str, status: int) -> None:
    headers = {**hub.bearer("view", "an-phu"), "Content-Type": content_type}
    assert (await hub.client.post(PATH, data=body, headers=headers)).status == status


async def test_a_flood_of_one_link_is_refused(hub: FakeHub) -> None:
    headers = hub.bearer("view", "an-phu")
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 1000:
        statuses.append((await hub.client.post(PATH, json=REPORT, headers=headers)).status)
    assert len(statuses) > 60
    assert statuses[-1] == 429
    other = hub.bearer("view", "an-phu")
    assert (await hub.client.post(PATH, json=REPORT, headers=other)).status == 204


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(REPORT)), _json))
def test_any_json_is_a_report_or_a_validation_error(values: dict[str, Any]) -> None:
    try:
        report = BrowserReport.model_validate_json(json.dumps({**REPORT, **values}))
    except ValidationError:
        return
    assert all(0 <= value < 1e13 or value <= 2**53 for value in report.counters().values())
