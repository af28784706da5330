"""A WHIP and WHEP proxy that sends media over a link: candidates in answers become the link's.

Everything that HTTP carries passes (pages and event streams too, WebSockets not). Rewritten are
the `a=candidate` lines of answers and fragments, and every mention of the server's origin in
Location, Link, JSON, text and events.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, web
from multidict import CIMultiDict

from relay.transport.candidate import Candidate, candidate_priority

MAX_BODY_BYTES = 16 << 20
CONNECT_TIMEOUT_S = 10.0
SHUTDOWN_TIMEOUT_S = 1.0
_SDP = ("application/sdp", "application/trickle-ice-sdpfrag")
_EVENTS = "text/event-stream"
_REWRITTEN_HEADERS = ("Location", "Link")
_NOT_PASSED = frozenset(
    {
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("content-length", "content-encoding", "accept-encoding", "date", "server"),
    }
)
_CANDIDATE = re.compile(r"^a=candidate:.*\r?\n", re.MULTILINE)


def rewrite_candidates(sdp: str, address: tuple[str, int]) -> str:
    """The link's candidate in the place of all others; an SDP without candidates stays as it is."""
    ours = Candidate("1", 1, "udp", candidate_priority("host", 65535), *address)
    first = _CANDIDATE.search(sdp)
    if first is None:
        return sdp
    rest = _CANDIDATE.sub("", sdp[first.end() :])
    return f"{sdp[: first.start()]}a={ours.to_sdp()}\r\n{rest}"


class SignallingProxy:
    """Use as `async with SignallingProxy("http://127.0.0.1:8080", link.address) as proxy:`.

    also: origins of other servers and what stands in for them, for redirects and events that lead
    from node to node: the origins of their own proxies. It may be filled later.
    """

    def __init__(
        self, target: str, media: tuple[str, int], also: Mapping[str, str] | None = None
    ) -> None:
        self.target = target.rstrip("/")
        self.media = media
        self.also = dict(also or {})
        self.origin = ""
        self._http: ClientSession | None = None
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_TIMEOUT_S
        )

    async def __aenter__(self) -> SignallingProxy:
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        self._http = ClientSession(timeout=timeout, auto_decompress=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    def url(self, of_server: str) -> str:
        """A URL of the server, as it is over the proxy."""
        return self._renamed(of_server)

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        assert self._http is not None
        kept = ((k, v) for k, v in request.headers.items() if k.lower() not in _NOT_PASSED)
        try:
            async with self._http.request(
                request.method,
                self.target + request.raw_path,
                headers=CIMultiDict(kept),
                data=await request.read() or None,
                allow_redirects=False,
            ) as answer:
                return await self._answer(request, answer)
        except ClientError as error:
            return web.Response(status=502, text=f"The server cannot be reached: {error}\n")

    async def _answer(self, request: web.Request, answer: ClientResponse) -> web.StreamResponse:
        headers: CIMultiDict[str] = CIMultiDict()
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_PASSED:
                rewritten = name.title() in _REWRITTEN_HEADERS
                headers.add(name, self._renamed(value) if rewritten else value)
        if answer.content_type == _EVENTS:
            return await self._stream(request, answer, headers)
        body = await answer.read()
        if answer.content_type in _SDP:
            body = rewrite_candidates(body.decode(), self.media).encode()
        elif answer.content_type in ("application/json", "text/plain"):
            body = self._renamed(body.decode()).encode()
        return web.Response(status=answer.status, headers=headers, body=body)

    async def _stream(
        self, request: web.Request, answer: ClientResponse, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        try:
            async for line in answer.content:
                await response.write(self._renamed(line.decode()).encode())
        except (ClientError, ConnectionError):
            # As the server did: the stream ends without its last chunk.
            if request.transport is not None:
                request.transport.close()
        return response

    def _renamed(self, text: str) -> str:
        for theirs, ours in ((self.target, self.origin), *self.also.items()):
            # Not the origin on port 80801 when that on 8080 is meant.
            text = re.sub(re.escape(theirs) + r"(?![0-9])", ours, text)
        return text
