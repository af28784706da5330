"""The hub as one server: what every answer carries, who may read what, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hub.config import HttpConfig, HubConfig, MediaConfig, MetricsConfig
from hub.server import Hub, running_hub


def config_of(data_dir: Path, open_to: tuple[str, ...] = ()) -> HubConfig:
    return HubConfig(
        data_dir=data_dir,
        http=HttpConfig(port=0, tls_port=0),
        media=MediaConfig(port=0),
        metrics=MetricsConfig(open_to=open_to),
    )


@asynccontextmanager
async def serving(
    data_dir: Path, open_to: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Hub, aiohttp.ClientSession]]:
    async with (
        running_hub(config_of(data_dir, open_to)) as hub,
        aiohttp.ClientSession(hub.listeners.base_url()) as http,
    ):
        yield hub, http


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/xem/an-phu", 200),
        ("GET", "/studio", 200),
        ("GET", "/dieu-hanh", 200),
        ("GET", "/web/pages/viewer.js", 200),
        ("GET", "/web/__init__.py", 404),
        ("GET", "/web/..%2Fhub%2Fserver.py", 404),
        ("GET", "/no-such-page", 404),
        ("PUT", "/studio", 405),
        ("GET", "/api/operator/overview", 401),
    ],
)
async def test_every_answer_is_strict(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with serving(tmp_path) as (_, http), http.request(method, path) as answer:
        assert answer.status == status
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        if status >= 400:
            assert answer.content_type == "application/problem+json"
            assert (await answer.json())["status"] == status


async def test_pages_name_no_other_host(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, http):
        for page in ("/", "/xem/an-phu", "/studio", "/dieu-hanh"):
            async with http.get(page) as answer:
                text = await answer.text()
            assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text)
            for path in re.findall(r"""(?:src|href)="(/web/[^"]+)""", text):
                async with http.get(path) as part:
                    assert part.status == 200, path
                async with http.get(path, headers={"If-None-Match": part.headers["ETag"]}) as same:
                    assert same.status == 304


async def test_https_serves_the_same_pages_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, http):
        trust = ssl.create_default_context(cafile=str(tmp_path / "tls-cert.pem"))
        url = f"https://localhost:{hub.listeners.https_port}/studio"
        async with http.get(url, ssl=trust) as answer:
            assert answer.status == 200


async def test_metrics_are_closed_unless_opened(tmp_path: Path) -> None:
    async with serving(tmp_path) as (hub, http):
        async with http.get("/metrics") as answer:
            assert answer.status == 401
        async with http.get("/metrics", headers=bearer(hub.links.publish_token)) as answer:
            assert answer.status == 403
        async with http.get("/metrics", headers=bearer(hub.links.operate_token)) as answer:
            assert answer.status == 200
    async with serving(tmp_path, open_to=("127.0.0.1",)) as (_, http):
        async with http.get("/metrics") as answer:
            assert answer.status == 200
        async with http.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}) as answer:
            assert answer.status == 401


async def test_health_needs_no_token_and_says_what_is_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, http):
        for path, word in (("/healthz", "ok"), ("/readyz", "ready")):
            async with http.get(path) as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, word)


async def test_it_stops_at_once_with_open_event_streams(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as outside:
        http = await outside.enter_async_context(aiohttp.ClientSession())
        async with running_hub(config_of(tmp_path)) as hub:
            url = hub.listeners.base_url() + "/api/operator/events"
            request = http.get(url, headers=bearer(hub.links.operate_token))
            events = await outside.enter_async_context(request)
            await events.content.readuntil(b"\n\n")
            begun_s = time.monotonic()
        assert time.monotonic() - begun_s < 1.5
        await asyncio.wait_for(events.content.read(), 1)
        assert events.content.at_eof()


async def test_our_own_fault_is_a_problem_and_a_log_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as (hub, http):

        def broken(self: object) -> None:
            raise RuntimeError("broken on purpose")

        monkeypatch.setattr("hub.telemetry.telemetry.Telemetry.overview", broken)
        headers = bearer(hub.links.operate_token)
        async with http.get("/api/operator/overview", headers=headers) as answer:
            assert answer.status == 500
            assert "on purpose" not in await answer.text()
    assert "broken on purpose" in caplog.text
