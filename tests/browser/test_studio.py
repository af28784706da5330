"""The studio publishes Chromium's fake camera; the viewer's page plays it."""

from __future__ import annotations

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
    posts = hub.count("POST", "/wh")
    await studio.locator("#resolution").select_option("480p")
    await viewer.wait_for_function("() => document.querySelector('video').videoHeight === 480")
    await frames_advance(viewer)
    assert hub.count("POST", "/wh") == posts


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
