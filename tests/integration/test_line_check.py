"""Line checks at a real node: who may, how many at once, what a check finds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hub.doctor.finding import Level
from hub.doctor.line_check import Tally, _in_turn, check, findings_of, measure
from hub.state.line_verdict import LineFigures
from relay.client.errors import ClientError, OverloadedError, UnauthorizedError, UnreachableError
from relay.client.whep_client import WhepClient
from relay.core.line_check import STEPS_BPS, STREAM
from relay.node.line_checks import MAX_CHECKS, MAX_PER_COMMUNE, MAX_WHILE_WATCHED
from relay.signalling.node_protocol import Refused
from relay.transport.port import MediaPort
from tests.integration.media_server import MediaServer, media_server
from tests.integration.test_client_hub import on_air


@pytest.fixture
async def server() -> AsyncIterator[MediaServer]:
    async with media_server() as server:
        yield server


@contextlib.asynccontextmanager
async def checking(server: MediaServer, commune: str, stream: str = STREAM) -> AsyncIterator[None]:
    """A session that is up."""
    port = await MediaPort.open(port=0, client=True)
    url = f"{server.base_url}/whep/{stream}"
    client = WhepClient(port, server.http, url, server.token("view", commune), Tally())
    try:
        await client.connect()
        yield
    finally:
        with contextlib.suppress(ClientError):
            await client.close()
        await port.close()


async def test_a_check_finds_both_ways_and_every_rate(server: MediaServer) -> None:
    token = server.token("view", "an-phu")
    figures, verdict = await check(server.base_url, token, insecure=False, report=True)
    assert (figures.udp.ok, figures.tcp.ok, figures.turn) == (True, True, None)
    assert [step.bps for step in figures.steps] == list(STEPS_BPS)
    received = [step.received_bps for step in figures.steps]
    assert sorted(received) == received
    assert received[0] > 0
    assert figures.rtt_ms is not None
    assert server.node.line_checks.sessions == {}
    # This node has no hub's API: what was measured stands, and the doctor says that nobody knows.
    assert verdict["untold"]
    told = {finding.subject: finding.level for finding in findings_of(figures, verdict)}
    assert (told["Line over UDP"], told["Report"]) == (Level.OK, Level.WARN)


async def test_who_may(server: MediaServer) -> None:
    async with checking(server, "an-phu"):
        pass
    for token in (server.token("publish", "studio"), "nonsense"):
        with pytest.raises(UnauthorizedError):
            await measure(server.http, server.base_url, token)
    assert server.node.line_checks.sessions == {}


async def test_one_commune_leaves_room_for_others(server: MediaServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(MAX_PER_COMMUNE):
            await stack.enter_async_context(checking(server, "an-phu"))
        with pytest.raises(OverloadedError) as refused:
            await stack.enter_async_context(checking(server, "an-phu"))
        assert refused.value.retry_after_s
        async with checking(server, "ha-bac"):
            pass


async def test_a_node_runs_few_and_fewer_while_it_is_watched(server: MediaServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for n in range(MAX_WHILE_WATCHED):
            await stack.enter_async_context(checking(server, f"commune-{n}"))
        async with on_air(server), checking(server, "viewer", "phien-hop"):
            with pytest.raises(OverloadedError):
                await stack.enter_async_context(checking(server, "late"))
        for n in range(MAX_WHILE_WATCHED, MAX_CHECKS):
            await stack.enter_async_context(checking(server, f"commune-{n}"))
        with pytest.raises(OverloadedError):
            await stack.enter_async_context(checking(server, "late"))
        with pytest.raises(Refused):
            server.node.line_checks.check_room("late", watched=False)
    assert server.node.line_checks.sessions == {}


async def test_what_is_no_matter_of_the_media_is_not_blamed_on_a_firewall() -> None:
    async with media_server() as gone:
        url = gone.base_url
    async with aiohttp.ClientSession() as http:
        with pytest.raises(UnreachableError):
            await measure(http, url, "token")


async def test_it_waits_for_its_turn_but_not_for_ever() -> None:
    waits: list[float] = []
    found = ("udp", 1.0, 1.0, ())

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def attempt() -> tuple[str, float, float, tuple[()]]:
        if len(waits) < patience:
            raise OverloadedError("others", status=503, retry_after_s=8)
        return found

    patience = 3
    assert await _in_turn(attempt, sleep) == found
    assert waits == [8, 8, 8]
    waits.clear()
    patience = 100
    with pytest.raises(OverloadedError):
        await _in_turn(attempt, sleep)
    assert sum(waits) <= 60


async def test_a_check_over_nothing_is_a_failure() -> None:
    nothing = {"via": "doctor", "udp": {"ok": False}, "tcp": {"ok": False}}
    figures = LineFigures.model_validate(nothing)
    verdict = {"verdict": "not-ready", "vi": "Chưa sẵn sàng", "en": "Not ready"}
    levels = [finding.level for finding in findings_of(figures, verdict)]
    assert levels.count(Level.FAIL) == 1
