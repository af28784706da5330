"""A media node that only says what it is told to, and a hub's API around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.api.context import ApiContext
from hub.api.routes import api_routes
from hub.config import HubConfig
from hub.revocation import Revocations
from hub.roster import Commune, Roster
from hub.store.memory import MemoryStore
from hub.telemetry.telemetry import Telemetry
from hub.tokens import TokenIssuer
from relay.core.lint import Finding
from relay.node.snapshot import (
    NodeSnapshot,
    PublisherSnapshot,
    SourceSnapshot,
    StreamSnapshot,
    ViewerSnapshot,
)
from relay.signalling.auth import TokenVerifier
from relay.signalling.node_protocol import Scope
from relay.signalling.offer import SdpFragment

ROSTER = Roster(
    [
        Commune("le-dai-hanh", "Lê Đại Hành", "ward", "pilot"),
        Commune("an-phu", "An Phú", "commune"),
        Commune("thanh-dong", "Thành Đông", "ward"),
    ]
)
FINDING = Finding("b_frames", "error", "Tắt B-frame.", "Turn B-frames off.", 0.0, {"gap_s": 4.0})


def viewer(session_id: str, commune: str, **figures: object) -> ViewerSnapshot:
    """A connected viewer on a clean line."""
    clean = ViewerSnapshot(
        id=session_id,
        stream="phien-hop",
        commune=commune,
        connected=True,
        age_ms=1000.0,
        bitrate_bps=2.4e6,
        packets_sent=1000,
        bytes_sent=10**6,
        video_state="live",
        video_loss_ratio=0.0,
        audio_loss_ratio=0.0,
        packets_lost=0,
        jitter_ms=5.0,
        rtt_ms=20.0,
        remb_bps=None,
        nacks=0,
        plis=0,
        repairs_sent=0,
        srtp_profile="SRTP_AEAD_AES_128_GCM",
    )
    return replace(clean, **figures)  # type: ignore[arg-type]


def source(kind: Literal["audio", "video"], packets: int = 1000, lost: int = 0) -> SourceSnapshot:
    """One incoming RTP stream."""
    return SourceSnapshot(
        kind=kind,
        codec="H264" if kind == "video" else "OPUS",
        rid=None,
        ssrc=1 if kind == "video" else 2,
        bitrate_bps=2.5e6 if kind == "video" else 64_000.0,
        fps=30.0 if kind == "video" else 50.0,
        packets=packets,
        lost=lost,
        jitter_ms=2.0,
        keyframes=3,
        nacks_sent=0,
        keyframe_age_ms=500.0,
    )


def publisher(*sources: SourceSnapshot) -> PublisherSnapshot:
    """The ward's studio, on air."""
    return PublisherSnapshot(
        id="pub1",
        subject="studio",
        on_air=True,
        connected=True,
        age_ms=5000.0,
        silent_ms=10.0,
        rtt_ms=12.0,
        sources=sources or (source("video"), source("audio")),
        findings=(FINDING,),
    )


def stream(
    viewers: tuple[ViewerSnapshot, ...] = (),
    publishers: tuple[PublisherSnapshot, ...] = (),
    *,
    state: str = "on_air",
    changes: int = 1,
) -> StreamSnapshot:
    """The one stream."""
    return StreamSnapshot(
        name="phien-hop",
        state=state,
        state_age_ms=1000.0,
        publishers=publishers,
        viewers=viewers,
        publisher_changes=changes,
        nacked=0,
        repairs_sent=0,
        keyframes_asked=4,
        keyframes_sent=1,
        keyframes_suppressed=2,
        keyframes_cache_served=1,
        join_p95_ms=80.0,
    )


@dataclass
class FakeSession:
    """A session that notes its end."""

    id: str
    owner: str = "somebody"
    kind: Literal["publisher", "viewer"] = "viewer"
    stream: str = "phien-hop"
    etag: str = "e"
    closed: bool = False

    def knows_ufrag(self, ufrag: str) -> Literal["current", "past", "new"]:
        return "new"

    def add_remote_candidates(self, fragment: SdpFragment) -> None:
        raise NotImplementedError

    def restart_ice(self, fragment: SdpFragment) -> SdpFragment:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeNode:
    """What it is to show, and what was asked of it."""

    shown: StreamSnapshot = field(default_factory=lambda: stream((), (publisher(),)))
    sessions: dict[str, FakeSession] = field(default_factory=dict)
    media_port: int = 7000
    keyframes: list[str] = field(default_factory=list)

    def snapshot(self) -> NodeSnapshot:
        return NodeSnapshot((self.shown,), 0.1, 1.0, self.media_port)

    def session(self, session_id: str) -> FakeSession | None:
        return self.sessions.get(session_id)

    def request_keyframes(self, stream: str) -> int:
        self.keyframes.append(stream)
        return 1 if self.shown.publishers else 0

    def show_viewers(self, *viewers: ViewerSnapshot) -> None:
        self.shown = replace(self.shown, viewers=viewers)


class FakeClock:
    """Seconds, moved by hand; wall time begins at 1,000,000."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1_000_000.0 + self.now_s - 100.0


@dataclass
class FakeHub:
    """The API of a hub with one fake node."""

    node: FakeNode
    clock: FakeClock
    context: ApiContext
    client: TestClient[web.Request, web.Application]

    @property
    def telemetry(self) -> Telemetry:
        return self.context.telemetry

    def poll(self, seconds: float = 1.0) -> None:
        """Time passes and telemetry looks."""
        self.clock.now_s += seconds
        self.telemetry.poll()

    def token(self, scope: Scope, subject: str = "op", stream: str = "*") -> str:
        return self.context.issuer.issue(scope, subject, stream, 3600)

    def bearer(self, scope: Scope, subject: str = "op", stream: str = "*") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(scope, subject, stream)}"}


@asynccontextmanager
async def fake_hub(data_dir: Path, **sections: object) -> AsyncIterator[FakeHub]:
    """A served API; telemetry is polled by hand."""
    config = HubConfig.model_validate({"data_dir": data_dir, **sections})
    node, clock = FakeNode(), FakeClock()
    issuer = TokenIssuer(Ed25519PrivateKey.generate())
    revocations = Revocations(MemoryStore())
    telemetry = Telemetry(node, ROSTER, data_dir, wall=clock.wall, clock=clock.monotonic)
    context = ApiContext(
        config=config,
        node=node,
        roster=ROSTER,
        verifier=TokenVerifier([issuer.public_key], revocations.is_revoked),
        issuer=issuer,
        revocations=revocations,
        telemetry=telemetry,
    )
    app = web.Application()
    app.add_routes(api_routes(context))
    async with TestClient(TestServer(app)) as client:
        try:
            yield FakeHub(node, clock, context, client)
        finally:
            telemetry.board.close()
