"""Sessions, clock and packets for tests of a viewer that keeps watching."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from relay.client.backoff import Backoff
from relay.client.leg import Leg
from relay.client.places import Alternatives, Place, Places
from relay.client.sse import ServerEvent
from relay.client.watcher import Watcher
from relay.core.negotiation import CodecParameters, MediaNegotiation, PublisherNegotiation
from relay.core.rtp import build_rtp

NEGOTIATION = PublisherNegotiation(
    (MediaNegotiation(0, "0", "video", (CodecParameters(96, "H264", 90000, rtx_payload_type=97),)),)
)
HOME = "http://hub.test/whep/s"


class FakeSession:
    """Comes up at once, or fails with `error`, or hangs until `go_on`."""

    negotiation = NEGOTIATION
    rtt_ms = 12.3

    def __init__(
        self, error: Exception | None = None, *, origin: str = "", hangs: bool = False
    ) -> None:
        self.error = error
        self.hangs = hangs
        self.origin = origin
        self.sent: list[bytes] = []
        self.closed = asyncio.Event()
        self.live = asyncio.Event()
        self.go_on = asyncio.Event()
        self.told: asyncio.Queue[ServerEvent | None] = asyncio.Queue()
        self.leg: Leg | None = None
        self.place: Place | None = None

    async def connect(self) -> None:
        self.live.set()
        if self.error:
            raise self.error
        if self.hangs:
            await self.go_on.wait()

    async def close(self) -> None:
        self.closed.set()

    def send_rtcp(self, packet: bytes) -> None:
        self.sent.append(packet)

    async def events(self) -> AsyncGenerator[ServerEvent, None]:
        while (event := await self.told.get()) is not None:
            yield event

    def bring(self, packets: Sequence[bytes], now_ms: float) -> None:
        """Packets from the node."""
        assert self.leg is not None
        self.leg.on_rtp(list(packets), now_ms)


class Scene:
    """A watcher, the sessions that it will be given, and the time."""

    def __init__(self, *sessions: FakeSession, alternatives: Sequence[str] = ()) -> None:
        self.left = list(sessions)
        self.now_ms = 1000.0
        self.waits: list[float] = []
        self.watcher = Watcher(
            "an-phu",
            self._open,
            Places(HOME, Alternatives(alternatives)),
            backoff=Backoff(fraction=lambda: 0.5),
            clock=lambda: self.now_ms,
            sleep=self._sleep,
        )

    async def _open(self, leg: Leg, place: Place) -> FakeSession:
        session = self.left.pop(0)
        session.leg, session.place = leg, place
        session.origin = session.origin or place.url.rpartition("/whep/")[0]
        leg.begin(NEGOTIATION)
        return session

    async def _sleep(self, delay_s: float) -> None:
        self.waits.append(delay_s)

    async def started(self, session: FakeSession) -> None:
        """Until the session is up."""
        await session.live.wait()
        await settle()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(12):
        await asyncio.sleep(0)


def rtp(seq: int, *, pt: int = 96, ssrc: int = 5, payload: bytes = b"x" * 50) -> bytes:
    """A packet of the video."""
    return build_rtp(
        payload_type=pt, seq=seq, timestamp=seq * 3000, ssrc=ssrc, payload=payload, marker=True
    )
