"""The WHEP events extension from the client's side: subscribe, then read with `fetch`'s means.

The stream's URL comes from the server and is a secret of its own; the token goes along when it is
of the same origin.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncGenerator, Sequence

import aiohttp
from yarl import URL

from relay.client.errors import BadAnswerError, SessionGoneError, UnreachableError
from relay.client.http_session import HttpSession, translate
from relay.client.sse import EventParser, ServerEvent

SSE_REL = "urn:ietf:params:whep:ext:core:server-sent-events"
WANTED = ("active", "inactive", "reconnect")
SILENCE_S = 60.0
"""A stream that brings not even a comment for this long is dead."""


async def read_events(
    http: aiohttp.ClientSession, session: HttpSession, wanted: Sequence[str] = WANTED
) -> AsyncGenerator[ServerEvent, None]:
    """Events of an open session until its stream ends.

    Ends at once when the server does not offer the extension. Raises ClientError when subscribing
    fails or the stream breaks.
    """
    offered = next((link for link in session.links if link.rel == SSE_REL), None)
    if offered is None or session.session_url is None:
        return
    supported = [e.strip() for e in offered.parameters.get("events", "").split(",")]
    names = [name for name in wanted if name in supported]
    if not names:
        return
    endpoint = session.session_url.join(URL(offered.target))
    stream_url = await _subscribe(session, endpoint, names)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=8.0, sock_read=SILENCE_S)
    headers = session.authorized(stream_url, {"Accept": "text/event-stream"})
    parser, decode = EventParser(), codecs.getincrementaldecoder("utf-8")("replace").decode
    try:
        async with http.get(stream_url, headers=headers, timeout=timeout) as response:
            if response.status != 200:
                raise SessionGoneError("the event stream has ended", status=response.status)
            async for piece in response.content.iter_any():
                for event in parser.feed(decode(piece)):
                    yield event
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise translate(error, stream_url) from error
    except ValueError as error:
        raise UnreachableError(f"the event stream is broken: {error}") from error


async def _subscribe(session: HttpSession, endpoint: URL, names: list[str]) -> URL:
    response = await session.request(
        "POST", endpoint, headers={"Content-Type": "application/json"}, body=json.dumps(names)
    )
    location = response.headers.get("Location")
    if response.status != 201 or not location:
        raise BadAnswerError("the server does not open its event stream", status=response.status)
    return endpoint.join(URL(location))
