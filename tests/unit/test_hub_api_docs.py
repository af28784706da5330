"""The documents say what the code does: metric names, routes, thresholds."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import cast

from hub.state.quality import THRESHOLDS
from hub.telemetry.metrics import HubCollector
from relay.node.config import MediaNodeConfig
from relay.node.media_node import MediaNode
from relay.node.metrics import MediaNodeCollector
from relay.signalling.events import EventHub
from tests.unit.hub_fakes import fake_hub

DOCS = Path(__file__).resolve().parents[2] / "docs"


async def test_every_metric_is_documented(tmp_path: Path) -> None:
    documented = set(re.findall(r"^\| `(wardcast_\w+)`", (DOCS / "metrics.md").read_text(), re.M))
    node = await MediaNode.open(MediaNodeConfig(streams=("s",), media_port=0), EventHub())
    try:
        async with fake_hub(tmp_path) as hub:
            hub.poll()
            families = [
                *MediaNodeCollector(node).collect(),
                *HubCollector(hub.telemetry).collect(),
            ]
    finally:
        await node.close()
        await asyncio.sleep(0)
    names = {f.name + "_total" if f.type == "counter" else f.name for f in families}
    assert names == documented


async def test_every_route_is_documented(tmp_path: Path) -> None:
    text = (DOCS / "http-api.md").read_text()
    async with fake_hub(tmp_path) as hub:
        app = hub.client.server.app  # type: ignore[attr-defined]
        paths = {cast(str, route.resource.canonical) for route in app.router.routes()}
    for path in paths - {"/web/{path}"}:
        assert path in text, path


def test_thresholds_are_those_of_the_document() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| (?:10 s|30 s|now) \| ([\d.]+) (%|ms|steps?|s)[^|]* \| ([\d.]+) \S+[^|]* \|",
        (DOCS / "http-api.md").read_text(),
        re.M,
    )
    scale = {"%": 0.01, "ms": 1.0, "s": 1.0, "step": 1.0}
    told = [(round(float(f) * scale[u], 4), round(float(b) * scale[u], 4)) for f, u, b in rows]
    assert told == [(t.fair, t.bad) for t in THRESHOLDS.values()]
