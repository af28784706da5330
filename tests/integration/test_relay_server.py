"""A relay process by itself: what it serves without the hub, how it drains, who may ask it what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from hub.config import HttpConfig, HubConfig, MediaConfig, MetricsConfig, RelayConfig
from hub.relay_process import TOKEN_VARIABLE, RelayConfigError, check, serving_relay
from relay.control.memory import HubMemory
from relay.node.server import MEMORY_FILE, RelayServer
from tests.integration.aiortc_peers import AiortcPublisher, AiortcViewer
from tests.integration.media_server import STREAM, MediaServer, media_server

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def relay_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "not used before a token of the origin's key is set")


def remember(tmp_path: Path, origin: MediaServer, **more: object) -> None:
    """What a hub told this relay before it went away."""
    pem = origin.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    HubMemory(
        streams=(STREAM,),
        public_keys=(pem.decode(),),
        origins=(origin.base_url,),
        **more,  # type: ignore[arg-type]
    ).save(tmp_path / MEMORY_FILE)


@asynccontextmanager
async def without_hub(
    tmp_path: Path, origin: MediaServer, monkeypatch: pytest.MonkeyPatch, **relay: object
) -> AsyncIterator[tuple[RelayServer, MediaServer]]:
    """A relay whose hub is away, also as a media server for the test's viewers."""
    monkeypatch.setenv(TOKEN_VARIABLE, origin.token("relay", "r", "*"))
    config = HubConfig(
        data_dir=tmp_path,
        http=HttpConfig(host="127.0.0.1", port=0, tls="off"),
        media=MediaConfig(port=0),
        metrics=MetricsConfig(open_to=("127.0.0.1",)),
        relay=RelayConfig(id="r", hub=NOWHERE, **relay),  # type: ignore[arg-type]
    )
    async with serving_relay(config) as server, aiohttp.ClientSession() as http:
        face = MediaServer(server.node, server.base_url, http, origin.key, server.node.events)
        yield server, face


async def test_a_relay_serves_from_memory_while_the_hub_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with media_server() as origin:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        remember(tmp_path, origin)
        async with without_hub(tmp_path, origin, monkeypatch) as (server, face):
            assert not server.linked
            assert server.reasons() == []
            viewer = await AiortcViewer(face, "an-phu").start()
            await viewer.more("video", 5)
            await viewer.stop()
        await publisher.stop()


async def test_without_keys_nobody_is_let_in_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        media_server() as origin,
        without_hub(tmp_path, origin, monkeypatch) as (_, face),
    ):
        answer = await face.post(face.whep_url, face.token("view", "an-phu"), "v=0")
        assert answer.status == 401
        async with face.http.get(f"{face.base_url}/readyz") as ready:
            assert ready.status == 503
            assert "keys" in (await ready.json())["reasons"][0]
        async with face.http.get(f"{face.base_url}/healthz") as health:
            assert health.status == 200


async def test_a_memory_that_cannot_be_read_is_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MEMORY_FILE).write_text('{"streams": 1')
    async with (
        media_server() as origin,
        without_hub(tmp_path, origin, monkeypatch) as (server, _),
    ):
        assert server.reasons() != []


async def test_what_was_taken_back_stays_so_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with media_server() as origin:
        remember(tmp_path, origin)
        async with without_hub(tmp_path, origin, monkeypatch) as (server, _):
            server.revoke("view.an-phu", 2**62)
        assert HubMemory.load(tmp_path / MEMORY_FILE).revoked == {"view.an-phu": 2**62}


async def test_a_relay_takes_no_publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with media_server() as origin:
        remember(tmp_path, origin)
        async with without_hub(tmp_path, origin, monkeypatch) as (_, face):
            publisher = AiortcPublisher(face)
            with pytest.raises(AssertionError, match="relay"):
                await publisher.start()
            await publisher.stop()


async def test_only_an_operator_drains_it_and_a_drained_one_refuses_newcomers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with media_server() as origin:
        publisher = await AiortcPublisher(origin).start()
        await origin.on_air()
        remember(tmp_path, origin, relays=("http://other:1",))
        async with without_hub(tmp_path, origin, monkeypatch, drain_seconds=1.0) as (server, face):
            viewer = await AiortcViewer(face, "an-phu").start()
            await viewer.more("video", 3)
            session = next(iter(server.node.streams[STREAM].viewers))
            events = server.node.events.subscribe(session, STREAM, frozenset({"reconnect"}))
            url = f"{face.base_url}/api/relay/drain"
            for headers, status in (
                ({}, 401),
                ({"Authorization": f"Bearer {face.token('view', 'an-phu')}"}, 403),
                ({"Authorization": f"Bearer {face.token('operate', 'op', '*')}"}, 202),
            ):
                async with face.http.post(url, headers=headers) as answer:
                    assert answer.status == status
            assert await events.wait(5)
            told = events.after(0)[0]
            assert told.name == "reconnect"
            # The hub is away: the relay sends its viewers on by itself.
            assert '"http://other:1/whep/phien-hop"' in told.data
            late = await face.post(face.whep_url, face.token("view", "ha-bac"), "v=0")
            assert late.status in (400, 503)
            async with asyncio.timeout(10):
                await server.stopping.wait()
            assert server.node.streams[STREAM].viewers == {}
            await viewer.stop()
        await publisher.stop()


async def test_metrics_are_open_where_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with media_server() as origin:
        remember(tmp_path, origin)
        async with without_hub(tmp_path, origin, monkeypatch) as (_, face):
            async with face.http.get(f"{face.base_url}/metrics") as answer:
                assert answer.status == 200
                assert "wardcast_viewers" in await answer.text()
            forwarded = {"X-Forwarded-For": "127.0.0.1"}
            async with face.http.get(f"{face.base_url}/metrics", headers=forwarded) as answer:
                assert answer.status == 401


@pytest.mark.parametrize(
    ("relay", "sentence"),
    [
        ({}, "relay.hub"),
        ({"hub": NOWHERE, "origin": True, "upstreams": (NOWHERE,)}, "exclude each other"),
        ({"hub": NOWHERE, "token_file": Path("/nonexistent/token")}, "relay.token_file"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(relay: dict[str, object], sentence: str) -> None:
    with pytest.raises(RelayConfigError, match=sentence):
        check(HubConfig(relay=RelayConfig(**relay)))  # type: ignore[arg-type]


def test_a_relay_without_a_token_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    with pytest.raises(RelayConfigError, match="wardcast token issue"):
        check(HubConfig(relay=RelayConfig(hub=NOWHERE)))
