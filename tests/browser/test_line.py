"""What the commune's page makes of its line: sizes it tells, words it shows, sound it repairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.async_api import Page

from relay.core.arena import PacketArena, SendBatch
from relay.core.line.estimate import UNKNOWN_BPS, LineEstimate
from tests.browser.conftest import OpenPage
from tests.browser.stub_hub import STREAM, StubHub, live_source
from tests.browser.watching import frames_advance, has_sound, state_is

LOST_ONE_IN = 10


class FixedEstimate(LineEstimate):
    """A line that carries so much, whatever its viewer's browser on a busy machine reports."""

    def __init__(self, fixed_bps: float) -> None:
        self._fixed_bps = fixed_bps
        super().__init__()

    @property
    def bps(self) -> float:
        return self._fixed_bps

    @bps.setter
    def bps(self, _: float) -> None:
        pass


def carry(hub: StubHub, bps: float) -> None:
    """The line of the only viewer carries so much from now on."""
    assert hub.node is not None
    router = hub.node.streams[STREAM].router
    (viewer,) = router.viewers
    line = router.lines.line_of(viewer)
    assert line is not None
    line.estimate = FixedEstimate(bps)


def lossy(send: Callable[[SendBatch], None], payload_type: int) -> Callable[[SendBatch], None]:
    """`send` for a path on which every tenth packet of this type is lost, repairs too."""
    seen = 0

    def send_rest(batch: SendBatch) -> None:
        nonlocal seen
        count = batch.row_count
        ours = np.flatnonzero((batch.arena.rows[:count, 1] & 0x7F) == payload_type)
        keep = np.ones(count, bool)
        keep[ours[(np.arange(ours.size) + seen) % LOST_ONE_IN == LOST_ONE_IN - 1]] = False
        seen += ours.size
        left = int(keep.sum())
        arena = PacketArena(max(left, 1))
        arena.rows[:left] = batch.arena.rows[:count][keep]
        arena.lengths[:left] = batch.arena.lengths[:count][keep]
        train = np.repeat(np.arange(len(batch.train_rows)), batch.train_rows)
        rows = np.bincount(train[keep], minlength=len(batch.train_rows)).astype(np.int32)
        send(SendBatch(arena, left, batch.train_peer[rows > 0], rows[rows > 0]))

    return send_rest


async def audio_advances(page: Page, packets: int) -> None:
    """Wait for so many packets of sound; there are fifty in a second."""
    before = await page.evaluate("window.wardcast.audioPackets")
    await page.wait_for_function(
        "wanted => window.wardcast.audioPackets >= wanted", arg=before + packets
    )


async def test_sound_alone_is_told_calmly_and_is_no_dead_link(
    hub: StubHub, open_page: OpenPage
) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        await has_sound(page)
        recoveries = await page.evaluate("window.wardcast.recoveries")
        offers, session = hub.offers(), await page.evaluate("window.wardcast.sessionId")
        carry(hub, 5_000)
        await page.locator("#line-banner").wait_for(state="visible")
        text = await page.locator("#line-banner-text").inner_text()
        assert text == "Đường truyền yếu: chỉ còn tiếng"
        assert not await page.locator("#overlay").is_visible()
        report = await hub.reported()
        while report["line"] != "audio-only":
            report = await hub.reported()
        # Longer than any patience of the page's own watch.
        await audio_advances(page, 500)
        assert await page.evaluate("window.wardcast.state") == "playing"
        assert await page.evaluate("window.wardcast.recoveries") == recoveries
        await page.locator("[data-language-switch]").click()
        assert "sound only" in await page.locator("#line-banner-text").inner_text()
        carry(hub, UNKNOWN_BPS)
        await page.locator("#line-banner").wait_for(state="hidden")
        await frames_advance(page)
        assert await page.evaluate("window.wardcast.sessionId") == session
        assert hub.offers() == offers


async def test_a_poorer_picture_is_told_in_small_words(hub: StubHub, open_page: OpenPage) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        carry(hub, 250_000)
        await page.locator("#line-note").wait_for(state="visible")
        assert await page.locator("#line-note").inner_text() == "Đường truyền yếu: hình giảm nét"
        await page.wait_for_function("() => document.querySelector('video').videoHeight < 720")
        assert not await page.locator("#line-banner").is_visible()


async def test_a_small_window_is_sent_a_small_picture(hub: StubHub, open_page: OpenPage) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url(), width=420, height=420)
        await frames_advance(page)
        carry(hub, UNKNOWN_BPS)
        await page.wait_for_function("() => window.wardcast.told?.reason === 'size'")
        await page.wait_for_function("() => document.querySelector('video').videoHeight < 720")
        assert await page.locator("#line-note").is_hidden()
        assert (await page.evaluate("window.wardcast.size"))["maxWidth"] == 420
        await page.set_viewport_size({"width": 1366, "height": 900})
        await page.wait_for_function("() => document.querySelector('video').videoHeight === 720")


async def test_without_the_nodes_word_the_page_sees_it_by_itself(
    hub: StubHub, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.signalling.events.EventHub.session_event", lambda *_: None)
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        carry(hub, 5_000)
        await page.locator("#line-banner").wait_for(state="visible")
        assert await page.evaluate("window.wardcast.told") is None
        await state_is(page, "playing")


async def test_lost_sound_is_asked_for_again(
    hub: StubHub, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_source(hub):
        page = await open_page(hub.viewer_url())
        await frames_advance(page)
        assert hub.node is not None
        port = hub.node.port
        (viewer,) = hub.node.streams[STREAM].router.viewers.values()
        (opus,) = (c.payload_type for c in viewer.lanes["audio"].codecs if c.name == "OPUS")
        monkeypatch.setattr(port, "send_batch", lossy(port.send_batch, opus))
        await audio_advances(page, 300)
        digest = await page.evaluate("window.wardcast.digest")
        assert digest["audioNackCount"] > 10
        # Repairs are lost too: one in a hundred stays away for a second round trip.
        assert digest["concealedSamples"] < 0.03 * digest["totalSamplesReceived"]
