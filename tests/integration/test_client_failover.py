"""Viewers without a screen when nodes die, freeze or send them away: real processes and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.cli.watch_crowd import Crowd, CrowdPlan
from hub.cli.watch_report import CrowdFigures, crowd
from relay.signalling.auth import ALGORITHM, AUDIENCE
from tests.integration.media_server import STREAM
from tests.integration.node_process import NodeProcess, node_process

LOOK_S = 0.02


def view_token(key: Ed25519PrivateKey, subject: str) -> str:
    now = int(time.time())
    claims = {
        **{"scope": "view", "sub": subject, "stream": STREAM, "jti": f"view-{subject}"},
        **{"iat": now, "exp": now + 600, "aud": AUDIENCE},
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


class Pair:
    """Two nodes and a crowd that begins at the first."""

    def __init__(self, first: NodeProcess, second: NodeProcess, people: Crowd) -> None:
        self.first = first
        self.second = second
        self.people = people

    def figures(self) -> CrowdFigures:
        return crowd(self.people.measure(), 0.0)

    @property
    def stall(self) -> str:
        """How far the viewers' own process may be to blame."""
        return f"stalls of up to {self.people.longest_stall_ms} ms"

    async def until(self, condition: Callable[[CrowdFigures], bool]) -> CrowdFigures:
        figures = self.figures()
        try:
            async with asyncio.timeout(20):
                while not condition(figures := self.figures()):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            pytest.fail("\n".join(map(str, [figures, *self.people.measure()])))
        return figures

    async def all_at(self, node: NodeProcess, count: int) -> CrowdFigures:
        return await self.until(
            lambda figures: figures.by_place == {node.base_url: count} and not figures.frozen
        )


@contextlib.asynccontextmanager
async def pair(viewers: int, *, whole: int) -> AsyncIterator[Pair]:
    key = Ed25519PrivateKey.generate()
    async with (
        node_process(key) as first,
        node_process(key) as second,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        plan = CrowdPlan(
            url=first.whep_url,
            tokens=[(f"xa-{n}", view_token(key, f"xa-{n}")) for n in range(viewers)],
            viewers=viewers,
            ramp_s=0.0,
            decrypt=whole,
            decode=whole > 0,
            alternatives=(second.base_url,),
        )
        people = Crowd(plan, http)
        running = asyncio.create_task(people.run())
        try:
            both = Pair(first, second, people)
            await both.all_at(first, viewers)
            yield both
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("whole", [0, 4])
async def test_viewers_of_a_killed_node_land_on_the_other(whole: int) -> None:
    async with pair(4, whole=whole) as both:
        both.first.kill()
        figures = await both.all_at(both.second, 4)
        await both.until(lambda figures: figures.recoveries == 4)
        reasons = {r.reason for v in both.people.measure() for r in v.recoveries}
        took = f"{figures.recovery_p50_ms} to {figures.recovery_max_ms} ms"
        print(f"killed: {took}, {reasons}, {both.stall}")
        assert reasons <= {"port unreachable", "silent after its events broke", "silent"}
        assert figures.sessions == 8
        assert not figures.errors


async def test_viewers_of_a_frozen_node_land_on_the_other() -> None:
    async with pair(4, whole=1) as both:
        both.first.freeze()
        figures = await both.all_at(both.second, 4)
        await both.until(lambda figures: figures.recoveries == 4)
        reasons = {r.reason for v in both.people.measure() for r in v.recoveries}
        print(f"frozen: {figures.recovery_p50_ms} to {figures.recovery_max_ms} ms, {both.stall}")
        assert reasons == {"silent"}


async def test_viewers_who_are_sent_away_miss_nothing() -> None:
    async with pair(6, whole=2) as both:
        both.first.send_away(both.second.whep_url)
        await both.until(lambda figures: figures.moves == 6)
        figures = await both.all_at(both.second, 6)
        print(f"moved: longest pause {figures.move_max_ms} ms, {both.stall}")
        assert figures.recoveries == 0
        assert figures.sessions == 12
        decoded = both.people.decoding()
        await both.until(lambda _: both.people.decoding()["decoded"] > decoded["decoded"] + 10)
        assert both.people.decoding()["undecodable"] == 0
