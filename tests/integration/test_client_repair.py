"""A lossy line between the real hub and a watcher: what is lost comes back over RTX."""

from __future__ import annotations

import asyncio
import random

from hub.source.picture_feed import PictureFeed
from hub.source.publisher import LivePublisher
from relay.client.leg import Leg, ViewerSession
from relay.client.places import Place, Places
from relay.client.port_session import PortSession
from relay.client.watcher import Watcher
from tests.integration.media_server import media_server

LOSS = 0.05


class LossyLeg(Leg):
    """Loses packets on their way in, repairs as well as media."""

    dice = random.Random(5)
    missed = 0

    def on_rtp(self, packets: list[bytes], now_ms: float) -> None:
        kept = [packet for packet in packets if self.dice.random() >= LOSS]
        self.missed += len(packets) - len(kept)
        super().on_rtp(kept, now_ms)


class LossyWatcher(Watcher):
    """Has a lossy leg."""

    leg: LossyLeg | None = None

    def _new_leg(self) -> Leg:
        self.leg = LossyLeg(self, repairs=True)
        return self.leg


async def test_five_percent_loss_is_repaired() -> None:
    async with media_server() as server:
        publisher = asyncio.create_task(
            LivePublisher(
                PictureFeed("Kỳ họp"),
                server.whip_url,
                server.token("publish", "studio"),
                http=server.http,
            ).run()
        )
        await server.on_air()
        token = server.token("view", "an-phu")

        async def open_session(leg: Leg, place: Place) -> ViewerSession:
            return await PortSession.open(server.http, place.url, token, leg)

        watcher = LossyWatcher("an-phu", open_session, Places(server.whep_url))
        task = asyncio.create_task(watcher.run())
        try:
            async with asyncio.timeout(20):
                while watcher.leg is None or watcher.leg.missed < 60:
                    await asyncio.sleep(0.05)
            figures = watcher.measure(server.node.port.now_ms())
            # Lost for now are at most those of the last moments.
            assert figures.repaired > 30
            assert figures.lost < figures.repaired / 2
        finally:
            for running in (task, publisher):
                running.cancel()
            await asyncio.gather(task, publisher, return_exceptions=True)
