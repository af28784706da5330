"""The studio publishes Chromium's fake camera; the viewer's page plays it."""

from __future__ import annotations

import asyncio

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.stub_hub import StubHub
from tests.browser.watching import frames_advance, has_sound, state_is


async def test_fake_camera_to_a_commune(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(hub.studio_url())
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#camera option").nth(1).wait_for(state="attached")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    viewer = await open_page(hub.viewer_url())
    await frames_advance(viewer)
    await has_sound(viewer)
    await studio.wait_for_function("() => window.wardcast.status?.communes === 1")
    await studio.wait_for_function("() => window.wardcast.digest?.roundTripTime > 0")
    assert await studio.evaluate("window.wardcast.digest.framesEncoded") > 0


async def test_switching_the_camera_needs_no_negotiation(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(hub.studio_url())
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    viewer = await open_page(hub.viewer_url())
    await frames_advance(viewer)
    posts = hub.offers()
    await studio.locator("#resolution").select_option("480p")
    # Whichever layer the viewer's line carries.
    await viewer.wait_for_function(
        "() => [480, 240].includes(document.querySelector('video').videoHeight)"
    )
    await frames_advance(viewer)
    assert hub.offers() == posts


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_the_hub_receives_three_layers(hub: StubHub, open_page: OpenPage, codec: str) -> None:
    studio = await open_page(hub.studio_url().replace("#", f"?codec={codec}#"))
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    assert await _layers(hub, 3) == {
        ("h", 1280, 720),
        ("m", 640, 360),
        ("l", 320, 180),
    }
    await studio.wait_for_function(
        "() => window.wardcast.digest?.layers.filter((layer) => layer.sent).length === 3"
    )
    rows = await studio.locator("#layers li").all_inner_texts()
    assert [row.split("\n")[0] for row in rows] == ["Nét cao", "Nét vừa", "Nét thấp"]
    assert "320×180" in rows[2]


async def test_all_layers_change_with_the_camera(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(hub.studio_url())
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    await _layers(hub, 3)
    await studio.locator("#resolution").select_option("480p")
    # Chromium gives up the third layer of so small a picture.
    await studio.wait_for_function(
        """() => {
          const sent = (window.wardcast.digest?.layers ?? []).filter((one) => one.sent);
          return sent.map(({ rid, height }) => rid + height).join() === "h480,m240";
        }"""
    )
    async with asyncio.timeout(40):
        while not {("h", 480), ("m", 240)} <= {(r, h) for r, _, h in await _layers(hub, 3)}:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("codec", ["vp9", "av1"])
async def test_one_scalable_encoding(hub: StubHub, open_page: OpenPage, codec: str) -> None:
    studio = await open_page(hub.studio_url().replace("#", f"?codec={codec}#"))
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    await studio.wait_for_function(
        """codec => {
          const layers = window.wardcast.digest?.layers ?? [];
          return layers.length === 1 && layers[0].mode === "L1T3" && layers[0].codec === codec;
        }""",
        arg=codec,
    )


async def _layers(hub: StubHub, count: int) -> set[tuple[str | None, int, int | None]]:
    """(rid, width, height) of the video sources, once so many are known by their size."""
    async with asyncio.timeout(40):
        while True:
            assert hub.node is not None
            (stream,) = hub.node.snapshot().streams
            sources = [s for p in stream.publishers for s in p.sources if s.kind == "video"]
            layers = {(s.rid, s.width, s.height) for s in sources if s.width}
            if len(layers) == count:
                return layers
            await asyncio.sleep(0.2)


async def test_studio_comes_back_after_a_server_restart(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(hub.studio_url())
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    viewer = await open_page(hub.viewer_url())
    await frames_advance(viewer)
    await hub.stop()
    await state_is(studio, "reconnecting")
    await hub.start()
    await state_is(studio, "live", 30)
    await state_is(viewer, "playing", 30)
    await frames_advance(viewer)


async def test_stop_ends_the_broadcast(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(hub.studio_url())
    await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
    await studio.locator("#go-live").click()
    await state_is(studio, "live")
    viewer = await open_page(hub.viewer_url())
    await frames_advance(viewer)
    studio.on("dialog", lambda dialog: dialog.accept())
    await studio.locator("#stop").click()
    await state_is(studio, "stopped")
    await state_is(viewer, "waiting", 6)
    assert await studio.locator("#go-live").is_visible()


async def test_no_link_no_studio(hub: StubHub, open_page: OpenPage) -> None:
    studio = await open_page(f"{hub.base_url}/studio")
    assert "thiếu mã" in await studio.locator("#notice").inner_text()
    assert await studio.locator("#go-live").is_disabled()
