"""The pages, WHIP and WHEP over a real media node, and the few API answers that pages read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.tokens import TokenIssuer
from relay.node.config import MediaNodeConfig
from relay.node.media_node import MediaNode
from relay.signalling.auth import TokenVerifier
from relay.signalling.events import EventHub
from relay.signalling.http import SignallingConfig, signalling_routes

STREAM = "phien-hop"
TITLE = "Kỳ họp thứ nhất Hội đồng nhân dân phường Lê Đại Hành"
WEB = Path(__file__).parents[2] / "viewer_web"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self' https: http:; media-src blob: 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGES = {"/": "index", "/studio": "studio", "/dieu-hanh": "operator", "/xem/{slug}": "viewer"}


class StubHub:
    """`start` and `stop` may be called again and again: the ports stay the same."""

    def __init__(self) -> None:
        self.issuer = TokenIssuer(Ed25519PrivateKey.generate())
        self.http_port = 0
        self.media_port = 0
        self._reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.overview: dict[str, Any] = {"stream": {}, "communes": [], "totals": {}}
        self.requests: list[tuple[str, str]] = []
        """(method, path) of all that came in."""
        self.node: MediaNode | None = None
        self.events = EventHub()
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def token(self, scope: Any, subject: str) -> str:
        return self.issuer.issue(scope, subject, STREAM, 3600)

    def viewer_url(self, slug: str = "an-phu") -> str:
        return f"{self.base_url}/xem/{slug}#t={self.token('view', slug)}"

    def studio_url(self) -> str:
        return f"{self.base_url}/studio#t={self.token('publish', 'studio')}"

    def operator_url(self) -> str:
        return f"{self.base_url}/dieu-hanh#t={self.token('operate', 'operator')}"

    async def start(self) -> None:
        self.events = EventHub()
        config = MediaNodeConfig(streams=(STREAM,), media_port=self.media_port)
        self.node = await MediaNode.open(config, self.events)
        self.media_port = self.node.port.port
        app = web.Application(middlewares=[self._note])
        verifier = TokenVerifier([self.issuer.public_key])
        app.add_routes(signalling_routes(self.node, self.events, verifier, SignallingConfig()))
        for path, page in PAGES.items():
            app.router.add_get(path, self._page(page))
        app.router.add_static("/web", WEB)
        app.router.add_get("/api/viewer/info", self._info)
        app.router.add_post("/api/viewer/telemetry", self._telemetry)
        app.router.add_get("/api/studio/events", self._studio)
        app.router.add_get("/api/operator/overview", self._overview)
        app.router.add_get("/api/operator/events", self._events)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.http_port, reuse_address=True)
        await site.start()
        self.http_port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self.node is not None and self._runner is not None:
            await self.node.close()
            await self._runner.cleanup()
        self.node = self._runner = None

    async def reported(self, timeout_s: float = 15) -> dict[str, Any]:
        """The next report of a page that plays."""
        async with asyncio.timeout(timeout_s):
            while True:
                report = await self._reports.get()
                if report["state"] == "playing":
                    return report

    def count(self, method: str, prefix: str) -> int:
        return sum(1 for m, path in self.requests if m == method and path.startswith(prefix))

    def offers(self, *kinds: str) -> int:
        """Sessions that were asked for, of publishers ("whip") and viewers ("whep")."""
        endpoints = {f"/{kind}/{STREAM}" for kind in kinds or ("whip", "whep")}
        return sum(1 for m, path in self.requests if m == "POST" and path in endpoints)

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        response: web.StreamResponse = await handler(request)
        return response

    def _page(self, name: str) -> Any:
        async def serve(_: web.Request) -> web.FileResponse:
            headers = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
            return web.FileResponse(WEB / "pages" / f"{name}.html", headers=headers)

        return serve

    async def _info(self, _: web.Request) -> web.Response:
        names = {"name": "Xã An Phú", "title": TITLE, "title_en": "First session"}
        return web.json_response({**names, "stream": STREAM})

    async def _telemetry(self, request: web.Request) -> web.Response:
        self._reports.put_nowait(await request.json())
        return web.Response(status=204)

    async def _studio(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "status", self._status)

    def _status(self) -> dict[str, Any]:
        assert self.node is not None
        stream = self.node.streams[STREAM]
        publisher = stream.publisher
        findings = [
            {"code": f.code, "severity": str(f.severity), "vi": f.vi, "en": f.en}
            for f in (publisher.findings if publisher else ())
        ]
        viewers = list(stream.viewers.values())
        return {
            "title": TITLE,
            "viewers": len(viewers),
            "communes_watching": len({v.commune for v in viewers}),
            "findings": findings,
        }

    async def _overview(self, _: web.Request) -> web.Response:
        return web.json_response(self.overview)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "overview", lambda: self.overview)

    async def _serve(
        self, request: web.Request, name: str, value: Callable[[], dict[str, Any]]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            while self.node is not None:
                data = json.dumps(value())
                await response.write(f"event: {name}\ndata: {data}\n\n".encode())
                await asyncio.sleep(0.5)
        return response


@contextlib.asynccontextmanager
async def live_source(hub: StubHub, subject: str = "source") -> AsyncIterator[None]:
    """The test picture of `wardcast demo` in a process of its own, killed at the end."""
    environment = {**os.environ, "SOURCE_TOKEN": hub.token("publish", subject)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hub.source", "--token-env", "SOURCE_TOKEN"),
        *("--url", f"{hub.base_url}/whip/{STREAM}", "--title", TITLE),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()
