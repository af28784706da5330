"""A hub of a hundred lines for the clients' tests: one stream, packets passed on as they are."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.core.negotiation import MediaNegotiation
from relay.core.rtcp import PictureLoss, ReceiverReport, encode, parse_compound
from relay.core.rtp import parse_rtp
from relay.signalling.answer_publisher import PublisherPolicy, answer_publisher
from relay.signalling.answer_viewer import answer_viewer
from relay.signalling.offer import LocalTransport, parse_fragment, parse_offer
from relay.transport.parameters import CloseReason, PeerParameters
from relay.transport.peer import Peer
from relay.transport.port import MediaPort

TOKEN = "let-me-in"


@dataclass
class LiteSession:
    """One peer of the hub and what came from it."""

    hub: LiteHub
    is_publisher: bool
    media: tuple[MediaNegotiation, ...]
    credentials: tuple[str, str]
    peer: Peer | None = None
    rtp: list[bytes] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_peer_connected(self, peer: Peer) -> None:
        self.connected.set()
        if not self.is_publisher:
            self.hub.request_keyframe()

    def on_rtp(self, peer: Peer, packets: list[bytes], now_ms: float) -> None:
        self.rtp += packets
        self.news.set()
        self.hub.forward(packets)

    def on_rtcp(self, peer: Peer, packet: bytes, now_ms: float) -> None:
        self.rtcp.append(packet)
        self.news.set()
        if self.is_publisher:
            self.hub.forward_rtcp(packet)

    def on_send_overflow(self, peer: Peer) -> None:
        raise AssertionError("the hub's queue overflowed")

    def on_peer_closed(self, peer: Peer, reason: CloseReason) -> None:
        self.closed.set()

    async def until(self, condition: object, timeout_s: float = 8.0) -> None:
        """Wait until `condition()` holds, looked at whenever something comes."""
        assert callable(condition)
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.news.clear()
                await self.news.wait()


class LiteHub:
    """`async with LiteHub() as hub`: POST to hub.url("/whip/s") and hub.url("/whep/s")."""

    def __init__(self, *, http_port: int = 0) -> None:
        self.sessions: dict[str, LiteSession] = {}
        self.publisher: LiteSession | None = None
        self.lose = 0
        """So many video packets are not passed on to viewers."""
        self._ids = itertools.count(1)
        self._http_port = http_port

    async def __aenter__(self) -> LiteHub:
        self.port = await MediaPort.open(port=0)
        app = web.Application()
        app.router.add_post("/{kind:whip|whep}/s", self._post)
        app.router.add_patch("/session/{id}", self._patch)
        app.router.add_delete("/session/{id}", self._delete)
        self.server = TestServer(app, port=self._http_port or None)
        await self.server.start_server()
        self._reports = asyncio.create_task(self._report())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reports.cancel()
        await self.server.close()
        await self.port.close()

    def url(self, path: str) -> str:
        return str(self.server.make_url(path))

    def forward(self, packets: list[bytes]) -> None:
        for packet in packets:
            if self.lose and parse_rtp(packet).payload_type in (96, 102):
                self.lose -= 1
                continue
            for session in self._viewers():
                assert session.peer is not None
                session.peer.send_rtp(packet)

    def forward_rtcp(self, packet: bytes) -> None:
        for session in self._viewers():
            assert session.peer is not None
            session.peer.send_rtcp(packet)

    def request_keyframe(self) -> None:
        if self.publisher is not None:
            ssrc = next(m.ssrcs[0] for m in self.publisher.media if m.kind == "video")
            self.to_publisher(encode([ReceiverReport(1), PictureLoss(1, ssrc)]))

    def to_publisher(self, packet: bytes) -> None:
        assert self.publisher is not None
        assert self.publisher.peer is not None
        self.publisher.peer.send_rtcp(packet)

    def _viewers(self) -> list[LiteSession]:
        return [
            s
            for s in self.sessions.values()
            if not s.is_publisher and s.peer is not None and s.peer.connected
        ]

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self.publisher is not None and self.publisher.connected.is_set():
                self.to_publisher(encode([ReceiverReport(1)]))

    async def _post(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, text="the token is not valid")
        publishes = request.match_info["kind"] == "whip"
        if not publishes and self.publisher is None:
            return web.Response(status=409, text="nothing is on air", headers={"Retry-After": "0"})
        offer = parse_offer(await request.text())
        credentials = (secrets.token_hex(4), secrets.token_hex(16))
        local = LocalTransport(*credentials, self.port.fingerprint, self.port.candidates)
        if publishes:
            answer, agreed, role = answer_publisher(offer, local, PublisherPolicy())
            media = agreed.media
        else:
            assert self.publisher is not None
            on_air = [m.codecs[0] for m in self.publisher.media]
            answer, viewing, role = answer_viewer(
                offer, local, on_air, lambda: secrets.randbits(31) | 1
            )
            media = viewing.media
        session = LiteSession(self, publishes, media, credentials)
        session.peer = self.port.add_peer(
            PeerParameters(
                local_ufrag=credentials[0],
                local_pwd=credentials[1],
                remote_ufrag=offer.ice_ufrag,
                remote_pwd=offer.ice_pwd,
                remote_fingerprints=offer.fingerprints,
                dtls_role=role,
                ice_role="lite",
            ),
            session,
        )
        if publishes:
            self.publisher = session
        name = str(next(self._ids))
        self.sessions[name] = session
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"/session/{name}", "ETag": '"1"'},
        )

    async def _patch(self, request: web.Request) -> web.Response:
        session = self.sessions[request.match_info["id"]]
        fragment = parse_fragment(await request.text())
        session.credentials = (secrets.token_hex(4), secrets.token_hex(16))
        assert session.peer is not None
        session.peer.restart_ice(*session.credentials, fragment.ice_ufrag, fragment.ice_pwd)
        return web.Response(
            text=fragment.answer(*session.credentials, self.port.candidates).to_sdp(),
            content_type="application/trickle-ice-sdpfrag",
            headers={"ETag": '"2"'},
        )

    async def _delete(self, request: web.Request) -> web.Response:
        session = self.sessions.pop(request.match_info["id"], None)
        if session is None:
            return web.Response(status=404)
        if session is self.publisher:
            self.publisher = None
        assert session.peer is not None
        session.peer.close(CloseReason.DELETED)
        return web.Response()


def payload_types(session: LiteSession) -> set[int]:
    """Of the packets that came."""
    return {parse_rtp(packet).payload_type for packet in session.rtp}


def of_type(session: LiteSession, kind: type) -> list[object]:
    """RTCP packets of that type that came."""
    return [p for data in session.rtcp for p in parse_compound(data) if isinstance(p, kind)]
