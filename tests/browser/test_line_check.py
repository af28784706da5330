"""The line check of a commune's page, from the button to the operator's wall."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.demo import running_demo

SITE = "an-phu"


async def test_an_office_checks_its_line_before_anything_is_on_the_air(
    open_page: OpenPage,
) -> None:
    async with running_demo("--no-source") as demo:
        page = await open_page(demo["viewer_urls"][SITE])
        await page.click("#check-line")
        words = page.locator("#check-words")
        told = re.compile("ready|limited")
        await expect(words).to_have_attribute("data-state", told, timeout=40_000)
        await expect(words).to_contain_text(re.compile("đường truyền", re.I))
        operator = await open_page(demo["operator_url"])
        await operator.wait_for_selector(".site")
        await operator.locator(f".site[data-slug='{SITE}']").click()
        shown = operator.locator("#detail-line-check")
        await expect(shown).to_contain_text("bit/s", timeout=10_000)
