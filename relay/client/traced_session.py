"""An HttpSession that remembers where it was sent: redirects end at another node."""

from __future__ import annotations

from collections.abc import Mapping

from yarl import URL

from relay.client.http_session import HttpSession, Response


class TracedSession(HttpSession):
    """origin: "scheme://host:port" that was asked last, "" before the first request."""

    origin = ""

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Response:
        self.origin = str(url.origin())
        return await super().request(method, url, headers=headers, body=body)
