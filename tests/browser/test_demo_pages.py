"""All pages of `wardcast demo`, served by the hub itself with its own security headers."""

from __future__ import annotations

import os
import signal

from playwright.async_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.demo import running_demo
from tests.browser.watching import frames_advance, has_sound, state_is

SITE = "an-phu"


async def test_commune_plays_and_the_operator_sees_it(open_page: OpenPage) -> None:
    async with running_demo() as demo:
        viewer = await open_page(demo["viewer_urls"][SITE])
        await frames_advance(viewer)
        await has_sound(viewer)
        assert "An Phú" in await viewer.locator("#commune").inner_text()
        operator = await open_page(demo["operator_url"])
        await operator.wait_for_selector(".site")
        assert await operator.locator(".site").count() == 63
        await row_is(operator, "row.connected && row.fps > 0 && row.bitrateBps > 1e5")
        assert await operator.locator("#air").get_attribute("data-air") == "on_air"
        await operator.locator("#search").fill("an phu")
        await operator.locator(".site[data-slug='an-phu']").click()
        await _pin(operator, viewer)
        await _disconnect(operator, viewer)
        await _new_link(operator, viewer, open_page)


async def _pin(operator: Page, viewer: Page) -> None:
    """The operator chooses a layer for the commune, and gives the choice back."""
    await operator.locator("#pin-layer").select_option("l")
    await viewer.wait_for_function("() => document.querySelector('video').videoHeight === 180")
    figures = operator.locator(".session dl")
    await figures.filter(has_text="người điều hành chọn").wait_for()
    await figures.filter(has_text="320×180").wait_for()
    assert "trực tiếp (UDP)" in await figures.inner_text()
    await operator.locator("#pin-layer").select_option("")
    await viewer.wait_for_function("() => window.wardcast.told?.reason !== 'pin'")


async def _disconnect(operator: Page, viewer: Page) -> None:
    """The operator ends a screen's session; its page comes back by itself."""
    operator.on("dialog", lambda dialog: dialog.accept())
    session = await viewer.evaluate("window.wardcast.sessionId")
    await operator.locator(".session button").click()
    await viewer.wait_for_function(
        "old => ![null, old].includes(window.wardcast.sessionId)", arg=session
    )
    await frames_advance(viewer)


async def _new_link(operator: Page, viewer: Page, open_page: OpenPage) -> None:
    """A new link: the old one is refused, the new one plays."""
    await operator.locator("#new-link").click()
    await operator.locator("#detail-result", has_text="#t=").wait_for()
    text = await operator.locator("#detail-result").inner_text()
    await state_is(viewer, "denied")
    again = await open_page(text.split()[-1])
    await frames_advance(again)


async def row_is(operator: Page, condition: str) -> None:
    """Wait until the operator's row of SITE fulfils a condition."""
    await operator.wait_for_function(
        f"""slug => {{
          const row = window.wardcast.rows.find((one) => one.slug === slug);
          return {condition};
        }}""",
        arg=SITE,
    )


async def test_source_killed_and_back(open_page: OpenPage) -> None:
    async with running_demo() as demo:
        viewer = await open_page(demo["viewer_urls"][SITE])
        await frames_advance(viewer)
        session = await viewer.evaluate("window.wardcast.sessionId")
        os.kill(demo["source_pid"], signal.SIGKILL)
        # More than any buffer holds: these come from the source that was started again.
        await frames_advance(viewer, 90, 60)
        await state_is(viewer, "playing")
        assert await viewer.evaluate("window.wardcast.sessionId") == session


async def test_studio_to_commune(open_page: OpenPage) -> None:
    async with running_demo("--no-source") as demo:
        studio = await open_page(demo["studio_url"])
        await studio.wait_for_function("() => document.querySelector('#preview').videoWidth > 0")
        await studio.locator("#go-live").click()
        await state_is(studio, "live")
        viewer = await open_page(demo["viewer_urls"][SITE])
        await frames_advance(viewer)
        await has_sound(viewer)
        await studio.wait_for_function("() => window.wardcast.status?.communes === 1")


async def test_front_door(open_page: OpenPage) -> None:
    async with running_demo("--no-source") as demo:
        page = await open_page(demo["studio_url"].partition("/studio")[0])
        assert "phiên họp" in await page.locator("h1").inner_text()
