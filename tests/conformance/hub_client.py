"""A client of the endpoints under test, and the words of an answer."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import jwt
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDictProxy

from relay.signalling.auth import ALGORITHM, AUDIENCE
from relay.signalling.http import FRAGMENT, SDP
from tests.conformance.fake_node import FakeNode, FakeSession

Body = str | bytes | AsyncIterator[bytes]
STREAM = "phien-hop"
OFFERS = Path(__file__).parent.parent / "fixtures" / "sdp"
PUBLISHER_OFFERS = sorted(
    path.stem for path in OFFERS.glob("*_publish*.sdp") if path.stem != "chrome_publish_datachannel"
)
VIEWER_OFFERS = sorted(path.stem for path in OFFERS.glob("*_view*.sdp"))
KEY = Ed25519PrivateKey.generate()


def offer(name: str) -> str:
    """An offer of tests/fixtures/sdp, with the line ends of the wire."""
    return (OFFERS / f"{name}.sdp").read_text().replace("\n", "\r\n")


PUBLISH = offer("chrome_publish")
VIEW = offer("chrome_view")


def token(scope: str, subject: str = "a", *, stream: str = STREAM, **claims: object) -> str:
    """A signed token of `subject`."""
    now = int(time.time())
    content: dict[str, object] = {
        "scope": scope,
        "sub": subject,
        "stream": stream,
        "jti": f"{scope}-{subject}",
        "iat": now,
        "exp": now + 600,
        "aud": AUDIENCE,
        **claims,
    }
    return jwt.encode(content, KEY, algorithm=ALGORITHM)


def bearer(scope: str, subject: str = "a", **claims: str) -> dict[str, str]:
    """The Authorization header."""
    return {"Authorization": f"Bearer {token(scope, subject, **claims)}"}


def fragment(*lines: str) -> str:
    """A trickle fragment."""
    return "\r\n".join(lines) + "\r\n"


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Hub:
    """The endpoints on a real socket, the node behind them, an HTTP session to speak with."""

    node: FakeNode
    server: TestServer
    http: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Reply:
        """One request; redirects are not followed."""
        url = self.server.make_url(path)
        async with self.http.request(
            method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(self, protocol: str, body: Body, subject: str = "a", **headers: str) -> Reply:
        """POST an offer to /whip/<stream> or /whep/<stream>. headers: with _ for -."""
        scope = "publish" if protocol == "whip" else "view"
        sent = {"Content-Type": SDP, **bearer(scope, subject)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.call("POST", f"/{protocol}/{STREAM}", headers=sent, body=body)

    async def open(self, protocol: str, subject: str = "a") -> tuple[str, str, FakeSession]:
        """(session path, ETag header, session) of a new session."""
        response = await self.post(protocol, PUBLISH if protocol == "whip" else VIEW, subject)
        assert response.status == 201, response.text
        path = response.headers["Location"]
        session = self.node.session(path.rsplit("/", 1)[1])
        assert session is not None
        return path, response.headers["ETag"], session

    async def patch(
        self, path: str, body: Body, if_match: str | None, subject: str = "a", **headers: str
    ) -> Reply:
        """PATCH a fragment to a session."""
        scope = "publish" if path.startswith("/whip") else "view"
        sent = {"Content-Type": FRAGMENT, **bearer(scope, subject)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if if_match is not None:
            sent["If-Match"] = if_match
        return await self.call("PATCH", path, headers=sent, body=body)

    async def delete(self, path: str, subject: str = "a", **headers: str) -> Reply:
        """DELETE a session."""
        scope = "publish" if path.startswith("/whip") else "view"
        return await self.call("DELETE", path, headers={**bearer(scope, subject), **headers})


def problem(response: Reply, status: int) -> dict[str, object]:
    """The RFC 9457 body of an error with CORS headers; fails if it is anything else."""
    assert response.status == status
    assert response.headers["Content-Type"].startswith("application/problem+json")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]
    content = json.loads(response.body)
    assert content["status"] == status
    assert content["title"]
    assert content["detail"]
    return dict(content)


def sections(sdp: str) -> list[list[str]]:
    """Lines of the session part, then of each m-section."""
    parts: list[list[str]] = [[]]
    for line in sdp.replace("\r\n", "\n").strip().split("\n"):
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts
