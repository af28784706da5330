"""Chromium and the relay tier: a plain third-party player, a cascade of relays, the operator."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page

from hub.demo.tier import free_port
from tests.browser.conftest import OpenPage
from tests.faults.tier import ROOT, WARDCAST, Tier, tier, until

PLAYER = """<!doctype html><video autoplay muted playsinline></video><script type="module">
const told = (window.told = {});
const pc = new RTCPeerConnection();
pc.ontrack = (event) => (document.querySelector("video").srcObject = event.streams[0]);
pc.addTransceiver("video", { direction: "recvonly" });
pc.addTransceiver("audio", { direction: "recvonly" });
await pc.setLocalDescription(await pc.createOffer());
const response = await fetch(WHEP, {
  method: "POST",
  headers: { "Content-Type": "application/sdp", Authorization: "Bearer " + TOKEN },
  body: pc.localDescription.sdp,
});
told.status = response.status;
told.redirected = response.redirected;
told.session = new URL(response.headers.get("Location"), response.url).href;
await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
window.leave = async () => (await fetch(told.session, { method: "DELETE" })).status;
</script>"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    folder = tmp_path_factory.mktemp("tier")
    with tier(folder, "--data-dir", str(folder / "data"), relays=2) as found:
        yield found


@asynccontextmanager
async def third_party(whep_url: str, token: str) -> AsyncIterator[str]:
    """A player on an origin of its own, as somebody else would write it."""
    text = PLAYER.replace("WHEP", json.dumps(whep_url)).replace("TOKEN", json.dumps(token))

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def frames_shown(page: Page, frames: int = 30) -> None:
    """Wait for a moving picture."""
    await page.wait_for_function(
        "n => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames >= n",
        arg=frames,
        timeout=20_000,
    )


async def test_a_plain_player_follows_the_redirect_and_leaves_by_its_url(
    running: Tier, open_page: OpenPage
) -> None:
    token = running.document["view_tokens"]["an-phu"]
    async with third_party(running.document["whep_url"], token) as url:
        page = await open_page(url)
        await frames_shown(page)
        told = await page.evaluate("window.told")
        assert (told["status"], told["redirected"]) == (201, True)
        relays = [r["whep_url"] for r in running.document["relays"]]
        assert any(told["session"].startswith(relay + "/") for relay in relays)
        # No token and no header: the session's own URL is enough.
        assert await page.evaluate("window.leave()") == 200


@contextmanager
def relay_behind(running: Tier, upstream: str, folder: Path) -> Iterator[str]:
    """`wardcast relay --upstream …` as an operator would start it; its base URL."""
    environment = {**os.environ, "WARDCAST_DATA_DIR": str(folder.parent / "data")}
    issue = [*WARDCAST, "token", "issue", "--scope", "relay", "--subject", "relay-9"]
    token = subprocess.run(issue, cwd=ROOT, env=environment, capture_output=True, check=True)
    port = free_port()
    base = running.document["whep_url"].partition("/whep/")[0]
    command = [*WARDCAST, "relay", "--hub", base, "--upstream", upstream, "--id", "relay-9"]
    command += ["--host", "127.0.0.1", "--http-port", str(port), "--media-port", "0"]
    environment["WARDCAST_RELAY_TOKEN"] = token.stdout.decode().strip()
    environment["WARDCAST_DATA_DIR"] = str(folder)
    environment["WARDCAST_HTTP__TLS"] = "off"
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


async def test_a_cascade_plays_in_the_browser(running: Tier, open_page: OpenPage) -> None:
    first = running.document["relays"][0]["whep_url"].partition("/whep/")[0]
    folder = Path(running.tokens_file).parent / "relay-9"
    folder.mkdir()
    token = running.document["view_tokens"]["ha-bac"]
    with relay_behind(running, first, folder) as base:
        until(lambda: running.relays()["relay-9"]["state"] == "ready", 20)
        async with third_party(f"{base}/whep/phien-hop", token) as url:
            page = await open_page(url)
            await frames_shown(page)
            lineage = ["origin", "relay-1"]
            until(lambda: running.relays()["relay-9"]["lineage"] == lineage, 5)
            await page.close()
    until(lambda: running.relays()["relay-9"]["state"] == "lost", 10)


async def test_the_operator_sees_relays_and_drains_one(running: Tier, open_page: OpenPage) -> None:
    viewer = await open_page(running.document["viewer_urls"]["thanh-dong"])
    await frames_shown(viewer)
    served_by = next(r["id"] for r in running.relays().values() if r["viewers"])
    page = await open_page(running.document["operator_url"])
    row = page.locator(f"#relay-rows tr[data-id='{served_by}']")
    await row.wait_for()
    assert "Sẵn sàng" in await row.inner_text()
    page.on("dialog", lambda dialog: dialog.accept())
    await row.locator("button[data-do=drain]").click()
    await page.wait_for_function(
        "id => document.querySelector(`#relay-rows tr[data-id='${id}']`).textContent"
        ".includes('Đang rút')",
        arg=served_by,
    )
    until(lambda: running.relays()[served_by]["viewers"] == 0, 10)
    before = await viewer.evaluate(
        "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
    )
    await frames_shown(viewer, before + 30)
    await row.locator("button[data-do=resume]").click()
    until(lambda: running.relays()[served_by]["state"] == "ready", 10)


WATCH_FRAMES = """() => {
  const video = document.querySelector("video");
  let last = performance.now();
  window.longest = 0;
  const next = () => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last);
    last = now;
    video.requestVideoFrameCallback(next);
  };
  video.requestVideoFrameCallback(next);
}"""


@pytest.mark.parametrize(
    ("number", "limit_ms"),
    [(signal.SIGTERM, 500), (signal.SIGKILL, 2000), (signal.SIGSTOP, 2000)],
    ids=["drained", "killed", "hanging"],
)
async def test_the_page_moves_to_another_relay(
    running: Tier, open_page: OpenPage, number: signal.Signals, limit_ms: float
) -> None:
    running.until_ready()
    page = await open_page(running.document["viewer_urls"]["ha-nam"])
    await frames_shown(page)
    until(lambda: any(r["viewers"] for r in running.relays().values()), 5)
    row = next(r for r in running.relays().values() if r["viewers"])
    await page.evaluate(WATCH_FRAMES)
    os.kill(row["pid"], number)
    try:
        await page.wait_for_function(
            "place => window.wardcast.place !== place && window.wardcast.state === 'playing'",
            arg=row["base_url"],
            timeout=15_000,
        )
        shown = await page.evaluate(
            "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
        )
        await frames_shown(page, shown + 15)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(row["pid"], signal.SIGCONT)
    longest_ms = await page.evaluate("window.longest")
    print(f"\n{number.name}: longest time without a new frame {longest_ms:.0f} ms")
    assert longest_ms <= limit_ms
    await page.close()
