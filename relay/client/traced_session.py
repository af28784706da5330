"""An HttpSession that knows where redirects lead it: a viewer is served by another node."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from yarl import URL

from relay.client.errors import UnreachableError
from relay.client.http_session import DEFAULT_TIMEOUT_S, HttpSession, Response


class TracedSession(HttpSession):
    """origin: "scheme://host:port" that was asked last, "" before the first request.

    shun: origin that is not followed to, since it has just fallen silent.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        shun: str = "",
    ) -> None:
        super().__init__(http, url, token, timeout_s=timeout_s)
        self.origin = ""
        self._shun = shun if shun != str(URL(url).origin()) else ""

    async def request(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Response:
        self.origin = str(url.origin())
        if self.origin == self._shun:
            raise UnreachableError(f"sent to {self.origin}, which has just fallen silent")
        return await super().request(method, url, headers=headers, body=body)
