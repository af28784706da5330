"""Asks the hub where else its viewers may go: `alternatives` of `GET /api/me`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
from yarl import URL

from relay.client.errors import ClientError
from relay.client.http_session import HttpSession
from relay.client.places import Alternatives

ASK_INTERVAL_S = 30.0
ANSWER_S = 4.0


async def keep_alternatives(
    http: aiohttp.ClientSession,
    url: str,
    token: str | None,
    alternatives: Alternatives,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Refresh `alternatives` for as long as the server answers; one that has no such list is not
    asked again. url: the WHEP URL that was asked for."""
    session = HttpSession(http, url, token, timeout_s=ANSWER_S)
    endpoint = URL(url).origin() / "api" / "me"
    while True:
        try:
            response = await session.request("GET", endpoint)
        except ClientError:
            # Out of reach is when the list is needed: it stays.
            await sleep(ASK_INTERVAL_S)
            continue
        if 400 <= response.status < 500:
            return
        bases = _alternatives(response.body) if response.status == 200 else None
        if bases is not None:
            alternatives.told(bases)
        await sleep(ASK_INTERVAL_S)


def _alternatives(body: str) -> list[object] | None:
    """The list, or None if the answer has none."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    bases = answer.get("alternatives") if isinstance(answer, dict) else None
    return bases if isinstance(bases, list) else None
