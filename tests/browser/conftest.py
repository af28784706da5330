"""Debian's Chromium, driven by Playwright; every page is watched for errors and CSP reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.stub_hub import StubHub

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WITH_SOUND = "--autoplay-policy=no-user-gesture-required"
OpenPage = Callable[..., Coroutine[Any, Any, Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need the browser."""
    for item in items:
        if "tests/browser" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture
async def hub() -> AsyncIterator[StubHub]:
    """A stub hub that serves."""
    hub = StubHub()
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium that plays sound without a gesture."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*FLAGS, WITH_SOUND]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def strict_browser() -> AsyncIterator[Browser]:
    """Chromium as people have it: sound only after a gesture."""
    async with async_playwright() as playwright:
        policy = "--autoplay-policy=document-user-activation-required"
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            headless=True,
            args=[*FLAGS, policy],
            ignore_default_args=["--mute-audio"],
        )
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """`await open_page(url)`; at the end no page may have had an error.

    Messages of the network log (a refused connection while a server restarts) are not errors.
    """
    complaints: list[str] = []

    async def open_one(url: str, *, in_browser: Browser | None = None, **size: int) -> Page:
        viewport = {"width": size.get("width", 1366), "height": size.get("height", 768)}
        page = await (in_browser or browser).new_page(viewport=viewport)  # type: ignore[arg-type]
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{page.url}: {message.text}")
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        await page.goto(url)
        return page

    yield open_one
    assert complaints == []
