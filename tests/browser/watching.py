"""What tests ask of a page that plays."""

from __future__ import annotations

from playwright.async_api import Page

DEBUG = "window.wardcast"


async def state_is(page: Page, state: str, timeout_s: float = 25) -> None:
    """Wait for the page's state."""
    await page.wait_for_function(
        f"wanted => {DEBUG}?.state === wanted", arg=state, timeout=timeout_s * 1000
    )


async def frames_advance(page: Page, more: int = 10, timeout_s: float = 30) -> None:
    """Wait until the video element has shown `more` new frames."""
    shown = await page.evaluate(
        "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
    )
    await page.wait_for_function(
        """wanted => {
          const video = document.querySelector("video");
          return video.videoWidth > 0 && !video.paused
            && video.getVideoPlaybackQuality().totalVideoFrames >= wanted;
        }""",
        arg=shown + more,
        timeout=timeout_s * 1000,
    )


async def has_sound(page: Page, timeout_s: float = 25) -> None:
    """Wait until the sound that is played has energy."""
    await page.wait_for_function(f"() => {DEBUG}.audioEnergy > 1e-4", timeout=timeout_s * 1000)
