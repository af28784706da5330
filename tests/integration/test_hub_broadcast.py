"""A real broadcast seen from the operator's chair: join, figures, kick, new link, attendance."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.integration.test_hub_demo import demo

COMMUNE = "an-phu"


@asynccontextmanager
async def watching(url: str, token: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.cli.main", "watch", url, "--json"),
        env={**os.environ, "WARDCAST_TOKEN": token},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def commune_events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """COMMUNE as each event of the operator's stream shows it."""
    name = ""
    async for raw in response.content:
        field, _, value = raw.decode().strip().partition(": ")
        if field == "event":
            name = value
        elif field == "data" and name == "overview":
            yield next(c for c in json.loads(value)["communes"] if c["slug"] == COMMUNE)
        elif field == "data" and name == "commune" and json.loads(value)["slug"] == COMMUNE:
            yield json.loads(value)


async def test_the_operator_sees_a_commune_join_and_can_act() -> None:
    async with demo() as running:
        document = running.document
        base = document["whep_url"].partition("/whep/")[0]
        operate = {"Authorization": f"Bearer {document['operate_token']}"}
        token = document["view_tokens"][COMMUNE]
        async with (
            aiohttp.ClientSession(base) as http,
            watching(document["whep_url"], token),
            asyncio.timeout(40),
            http.get("/api/operator/events", headers=operate) as response,
        ):
            events = commune_events(response)
            async for commune in events:
                if commune["connected"] and commune["sessions"][0]["bitrate_bps"] > 1_000_000:
                    break
            first = commune["sessions"][0]["id"]
            assert commune["grade"] in ("good", "fair")
            assert commune["sessions"][0]["loss_ratio"] == 0

            async with http.delete(f"/api/operator/sessions/{first}", headers=operate) as answer:
                assert answer.status == 204
            async for commune in events:
                if commune["connected"] and commune["sessions"][0]["id"] != first:
                    break

            path = f"/api/operator/communes/{COMMUNE}/link"
            async with http.post(path, headers=operate, json={}) as answer:
                assert answer.status == 201
                fresh = (await answer.json())["token"]
            async for commune in events:
                if not commune["connected"]:
                    break
            assert commune["grade"] == "lost"
            for secret, status in ((token, 401), (fresh, 200)):
                mine = {"Authorization": f"Bearer {secret}"}
                async with http.get("/api/viewer/info", headers=mine) as answer:
                    assert answer.status == status

            async with http.get("/api/operator/attendance", headers=operate) as answer:
                rows = (await answer.json())["communes"]
        assert [row["slug"] for row in rows if row["intervals"]] == [COMMUNE]
        assert len(rows) == 63
