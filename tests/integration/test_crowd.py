"""All 63 communes at once, and the limits that keep them well."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from aiortc import RTCPeerConnection

from hub.roster import Roster
from tests.faults.test_publisher_faults import source_process
from tests.integration.aiortc_peers import AiortcPublisher
from tests.integration.media_server import MediaServer, media_server

ROOT = Path(__file__).resolve().parents[2]


async def test_63_viewers_watch_at_once_and_lose_nothing(tmp_path: Path) -> None:
    async with media_server() as server, source_process(server, "studio"):
        await server.on_air(20)
        tokens = {c.slug: server.token("view", c.slug) for c in Roster.load().viewers}
        links = tmp_path / "tokens.json"
        links.write_text(json.dumps(tokens))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hub.cli.main", "watch", server.whep_url, "--json"),
            *("--tokens-file", str(links), "--viewers", "63", "--ramp", "2", "--duration", "10"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    final = json.loads(output.decode().splitlines()[-1])
    assert final["viewers"] == final["connected"] == 63
    assert final["lost"] == 0
    assert final["frozen"] == 0
    assert final["sessions"] == 63  # nobody had to come back
    assert final["fps_min"] > 20
    assert len({v["name"] for v in final["per_viewer"]}) == 63


async def _ask(server: MediaServer, commune: str) -> tuple[int, str | None]:
    """Status and Retry-After of one more viewer's POST."""
    pc = RTCPeerConnection()
    pc.addTransceiver("video", "recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    response = await server.post(
        server.whep_url, server.token("view", commune), pc.localDescription.sdp
    )
    await pc.close()
    return response.status, response.headers.get("Retry-After")


async def test_limits_refuse_newcomers_with_a_time_to_come_back() -> None:
    async with media_server(max_viewers=3, max_viewers_per_commune=2) as server:
        publisher = await AiortcPublisher(server).start()
        await server.on_air()
        assert [await _ask(server, "an-phu") for _ in range(2)] == [(201, None)] * 2
        assert await _ask(server, "an-phu") == (429, "2")
        assert await _ask(server, "hai-duong") == (201, None)
        assert await _ask(server, "tu-ky") == (503, "2")
        await publisher.stop()
