"""Pages, site, tokens, health and metrics over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.api.pages import WEB_ROOT, load_files
from tests.unit.hub_fakes import FakeHub, fake_hub, viewer


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[FakeHub]:
    async with fake_hub(tmp_path) as hub:
        yield hub


@pytest.mark.parametrize(
    "path", ["/", "/xem/an-phu", "/watch/an-phu", "/studio", "/dieu-hanh", "/operator"]
)
async def test_pages_are_served_under_a_strict_policy(hub: FakeHub, path: str) -> None:
    response = await hub.client.get(path)
    assert response.status == 200
    assert response.content_type == "text/html"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "camera=(self)" in response.headers["Permissions-Policy"]


async def test_pages_need_nothing_that_the_policy_forbids(hub: FakeHub) -> None:
    for name, file in load_files().items():
        if name.endswith(".html"):
            text = file.body.decode()
            assert "<style" not in text
            assert " style=" not in text
            assert "http" not in text


async def test_a_commune_that_is_not_in_the_roster(hub: FakeHub) -> None:
    response = await hub.client.get("/xem/atlantis")
    assert (response.status, response.content_type) == (404, "text/html")


async def test_files_are_cached_by_etag(hub: FakeHub) -> None:
    first = await hub.client.get("/web/pages/viewer.js")
    assert (first.status, first.content_type) == (200, "text/javascript")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    again = await hub.client.get("/web/pages/viewer.js", headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status, await again.read()) == (304, b"")
    assert (await hub.client.head("/web/pages/viewer.js")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/web/../pyproject.toml",
        "/web/%2e%2e/pyproject.toml",
        "/web/..%2fpyproject.toml",
        "/web//etc/passwd",
        "/web/package.json",
        "/web/__init__.py",
        "/web/pages",
        "/web/",
    ],
)
async def test_nothing_else_is_served(hub: FakeHub, path: str) -> None:
    assert (await hub.client.get(path)).status == 404
    assert WEB_ROOT.is_dir()


async def test_site_is_public(hub: FakeHub) -> None:
    site = await (await hub.client.get("/api/site")).json()
    assert site["stream"] == "phien-hop"
    assert [s["name"] for s in site["streams"]] == ["phien-hop", "du-phong"]
    assert site["pilot"]["name"] == "Phường Lê Đại Hành"


async def test_me(hub: FakeHub) -> None:
    response = await hub.client.get("/api/me", headers=hub.bearer("view", "an-phu"))
    me = await response.json()
    assert (me["scope"], me["subject"], me["display_name"]) == ("view", "an-phu", "Xã An Phú")
    assert (me["whep_url"], me["alternatives"]) == ("/whep/phien-hop", [])
    assert response.headers["Cache-Control"] == "no-store"
    headers = hub.bearer("publish", "studio", "phien-hop")
    me = await (await hub.client.get("/api/me", headers=headers)).json()
    assert (me["whip_url"], me["display_name"]) == ("/whip/phien-hop", "Phường Lê Đại Hành")


async def test_viewer_info_names_commune_and_session(hub: FakeHub) -> None:
    response = await hub.client.get("/api/viewer/info", headers=hub.bearer("view", "thanh-dong"))
    info = await response.json()
    assert info["commune"] == {"slug": "thanh-dong", "name": "Phường Thành Đông", "kind": "ward"}
    assert info["title"].startswith("Phiên họp")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/operator/overview", "view"),
        ("GET", "/api/operator/events", "publish"),
        ("GET", "/api/operator/attendance", "view"),
        ("POST", "/api/operator/sessions/x/close", "view"),
        ("DELETE", "/api/operator/sessions/x", "publish"),
        ("POST", "/api/operator/communes/an-phu/link", "view"),
        ("POST", "/api/operator/keyframe", "publish"),
        ("GET", "/api/studio/status", "view"),
        ("GET", "/api/studio/events", "view"),
        ("POST", "/api/viewer/telemetry", "operate"),
        ("GET", "/metrics", "view"),
    ],
)
async def test_scopes(hub: FakeHub, method: str, path: str, scope: str) -> None:
    nobody = await hub.client.request(method, path)
    assert nobody.status == 401
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    assert nobody.content_type == "application/problem+json"
    bad = await hub.client.request(method, path, headers={"Authorization": "Bearer nonsense"})
    assert bad.status == 401
    other = await hub.client.request(method, path, headers=hub.bearer(scope, "an-phu"))  # type: ignore[arg-type]
    assert other.status == 403


async def test_health_and_readiness(hub: FakeHub) -> None:
    assert (await hub.client.get("/healthz")).status == 200
    early = await hub.client.get("/readyz")
    assert (early.status, "not been looked at" in await early.text()) == (503, True)
    hub.poll()
    assert (await hub.client.get("/readyz")).status == 200
    hub.node.media_port = 0
    hub.poll()
    closed = await hub.client.get("/readyz")
    assert (closed.status, "media port" in await closed.text()) == (503, True)
    hub.node.media_port = 7000
    hub.poll()
    hub.clock.now_s += 11
    assert (await hub.client.get("/readyz")).status == 503
    assert (await hub.client.get("/healthz")).status == 503


async def test_metrics_for_an_operator(hub: FakeHub) -> None:
    hub.node.show_viewers(viewer("v1", "an-phu"))
    hub.poll()
    response = await hub.client.get("/metrics", headers=hub.bearer("operate"))
    text = await response.text()
    assert 'wardcast_commune_grade{commune="an-phu",grade="good"} 1.0' in text
    assert 'wardcast_communes{grade="absent"} 1.0' in text
    assert 'wardcast_browser_reports_total{result="taken"} 0.0' in text


async def test_metrics_open_to_an_address(tmp_path: Path) -> None:
    async with fake_hub(tmp_path, metrics={"open_to": ["127.0.0.1"]}) as hub:
        hub.poll()
        assert (await hub.client.get("/metrics")).status == 200
        proxied = await hub.client.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
        assert proxied.status == 401
