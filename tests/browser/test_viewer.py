"""The commune's page in a real browser over a real media node."""

from __future__ import annotations

from playwright.async_api import Browser

from tests.browser.conftest import OpenPage
from tests.browser.stub_hub import TITLE, StubHub, live_source
from tests.browser.watching import frames_advance, has_sound, state_is


async def test_plays_at_once_with_sound(hub: StubHub, open_page: OpenPage) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await state_is(page, "playing")
        await frames_advance(page)
        await has_sound(page)
        assert await page.evaluate("document.querySelector('video').videoWidth") == 1280
        assert await page.locator("#commune").inner_text() == "Xã An Phú"
        assert await page.locator("#session-title").inner_text() == TITLE
        assert not await page.locator("#overlay").is_visible()
        assert not await page.locator("#sound-gate").is_visible()
        assert "#" not in page.url
        await page.reload()
        await state_is(page, "playing")
        await page.wait_for_function("() => window.wardcast.digest?.frameWidth === 1280")
        report = await hub.reported()
        assert report["session_id"]
        assert report["state"] == "playing"
        assert report["framesPerSecond"] > 0


async def test_a_browser_that_holds_sound_back_gets_a_big_button(
    hub: StubHub, open_page: OpenPage, strict_browser: Browser
) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url(), in_browser=strict_browser)
        # A script that Playwright runs counts as a gesture: the page must have tried before.
        await hub.reported()
        assert await page.evaluate("document.querySelector('video').muted")
        await frames_advance(page)
        await page.locator("#unmute").click()
        await has_sound(page)
        assert not await page.evaluate("document.querySelector('video').muted")
        assert not await page.locator("#sound-gate").is_visible()


async def test_waits_for_the_ward_and_plays_by_itself(hub: StubHub, open_page: OpenPage) -> None:
    page = await open_page(hub.viewer_url())
    await state_is(page, "waiting")
    assert await page.locator("#message").inner_text() == "Phường chưa phát"
    async with live_source(hub):
        await state_is(page, "playing", 20)
        await frames_advance(page)


async def test_publisher_killed_and_back_without_a_new_negotiation(
    hub: StubHub, open_page: OpenPage
) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        posts = hub.offers("whep")
        session = await page.evaluate("window.wardcast.sessionId")
    await state_is(page, "waiting")
    await page.locator("#overlay").wait_for(state="visible", timeout=3000)
    async with live_source(hub, "another"):
        await state_is(page, "playing", 20)
        await frames_advance(page)
    assert await page.evaluate("window.wardcast.sessionId") == session
    assert hub.offers("whep") == posts


async def test_server_restart(hub: StubHub, open_page: OpenPage) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        await hub.stop()
        await state_is(page, "reconnecting")
        await hub.start()
        await state_is(page, "playing", 30)
        await frames_advance(page)


async def test_a_wrong_link_says_so(hub: StubHub, open_page: OpenPage) -> None:
    page = await open_page(f"{hub.base_url}/xem/an-phu#t=nonsense")
    await state_is(page, "denied")
    assert "Đường dẫn không đúng" in await page.locator("#hint").inner_text()
    bare = await open_page(f"{hub.base_url}/xem/hai-duong")
    assert "thiếu mã" in await bare.locator("#hint").inner_text()


async def test_the_page_in_english(hub: StubHub, open_page: OpenPage) -> None:
    page = await open_page(hub.viewer_url())
    await state_is(page, "waiting")
    await page.locator("[data-language-switch]").click()
    assert await page.locator("#message").inner_text() == "The ward is not on air yet"
    assert await page.locator("html").get_attribute("lang") == "en"
