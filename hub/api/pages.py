"""The pages and their files, read once at start-up: a request names a key, never a path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

import viewer_web
from hub.api.context import ApiContext
from hub.api.respond import Route
from relay.signalling.problem import HttpProblem

WEB_ROOT = Path(viewer_web.__file__).parent
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class WebFile:
    """One file. etag: quoted, of its content."""

    body: bytes
    media_type: str
    etag: str


def load_files(root: Path = WEB_ROOT) -> dict[str, WebFile]:
    """All files that may be served, by their path under `root` with "/" between."""
    files = {}
    for path in sorted(root.rglob("*")):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None or not path.is_file() or path.is_symlink():
            continue
        body = path.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        files[path.relative_to(root).as_posix()] = WebFile(body, media_type, etag)
    return files


class Pages:
    """Handlers of pages and files."""

    def __init__(self, context: ApiContext, files: dict[str, WebFile] | None = None) -> None:
        self._roster = context.roster
        self._files = load_files() if files is None else files

    def routes(self) -> list[Route]:
        """(method, path, handler)."""
        return [
            ("GET", "/", self.index),
            ("GET", "/xem/{slug}", self.viewer),
            ("GET", "/watch/{slug}", self.viewer),
            ("GET", "/studio", self.studio),
            ("GET", "/dieu-hanh", self.operator),
            ("GET", "/operator", self.operator),
            ("GET", "/web/{path:.+}", self.file),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The front door."""
        return self._serve(request, "pages/index.html")

    async def viewer(self, request: web.Request) -> web.StreamResponse:
        """A commune's page; one that is not in the roster is 404, with the page's own sentence."""
        known = self._roster.by_slug(request.match_info["slug"]) is not None
        return self._serve(request, "pages/viewer.html", 200 if known else 404)

    async def studio(self, request: web.Request) -> web.StreamResponse:
        """The technician's page."""
        return self._serve(request, "pages/studio.html")

    async def operator(self, request: web.Request) -> web.StreamResponse:
        """The control room."""
        return self._serve(request, "pages/operator.html")

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A script, style or picture."""
        return self._serve(request, request.match_info["path"])

    def _serve(self, request: web.Request, name: str, status: int = 200) -> web.Response:
        found = self._files.get(name)
        if found is None:
            raise HttpProblem(404, "There is no such file.")
        headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
        known = [tag.strip().removeprefix("W/") for tag in _if_none_match(request)]
        if status == 200 and (found.etag in known or "*" in known):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = found.media_type
        return web.Response(status=status, body=found.body, headers=headers)


def _if_none_match(request: web.Request) -> list[str]:
    return request.headers.get("If-None-Match", "").split(",")
