"""A media node in memory: real answers with made-up transport values, no media."""

from __future__ import annotations

import itertools
import secrets
from typing import Literal

from relay.core.negotiation import CodecParameters, PublisherNegotiation, ViewerNegotiation
from relay.signalling.answer import OfferRefused
from relay.signalling.answer_publisher import PublisherPolicy, answer_publisher
from relay.signalling.answer_viewer import answer_viewer
from relay.signalling.events import EventHub
from relay.signalling.node_protocol import Accepted, Grant, LayerRequest, Refused
from relay.signalling.offer import LocalTransport, Offer, SdpFragment
from relay.transport.candidate import local_candidates

FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
CANDIDATES = local_candidates(("192.0.2.10", "2001:db8::10"), 7890)
H264 = CodecParameters(
    102, "H264", 90_000, fmtp={"packetization-mode": "1", "profile-level-id": "42e01f"}
)
OPUS = CodecParameters(111, "OPUS", 48_000, channels=2)


class FakeSession:
    """One session; what the handlers did to it can be read."""

    def __init__(
        self, node: FakeNode, kind: Literal["publisher", "viewer"], stream: str, grant: Grant
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.kind: Literal["publisher", "viewer"] = kind
        self.stream = stream
        self.owner = grant.token_id
        self.subject = grant.subject
        self.key = secrets.token_urlsafe(24)
        self.connected = False
        self.etag = secrets.token_hex(8)
        self.ufrags: list[str] = []
        self.fragments: list[SdpFragment] = []
        self.wishes: list[LayerRequest] = []
        self.closed = False
        self.can_restart = True
        self._node = node

    def knows_ufrag(self, ufrag: str) -> Literal["current", "past", "new"]:
        if ufrag == self.ufrags[-1]:
            return "current"
        return "past" if ufrag in self.ufrags else "new"

    def add_remote_candidates(self, fragment: SdpFragment) -> None:
        self.fragments.append(fragment)

    def restart_ice(self, fragment: SdpFragment) -> SdpFragment:
        if not self.can_restart:
            raise Refused(503, "No restart is possible now.", 2)
        self.ufrags.append(fragment.ice_ufrag)
        self.etag = secrets.token_hex(8)
        return fragment.answer(secrets.token_hex(4), secrets.token_hex(16), CANDIDATES)

    def ask_layer(self, request: LayerRequest) -> None:
        self.wishes.append(request)

    async def close(self) -> None:
        self.closed = True
        self._node.sessions.pop(self.id, None)
        self._node.events.session_closed(self.id)


class FakeNode:
    """refuse: raised by the next publish or view. on_air: the codecs of every stream."""

    def __init__(self) -> None:
        self.events = EventHub()
        self.sessions: dict[str, FakeSession] = {}
        self.on_air: tuple[CodecParameters, ...] = (H264, OPUS)
        self.refuse: Exception | None = None
        self.grants: list[Grant] = []
        self.sitting: Grant | None = None
        self.negotiated: PublisherNegotiation | ViewerNegotiation | None = None
        self._ssrcs = itertools.count(1000)

    async def publish(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        self._check()
        if self.sitting is not None and self.sitting.subject != grant.subject:
            raise Refused(409, "Another publisher is live on this stream.", 2)
        try:
            answer, self.negotiated, _ = answer_publisher(offer, _local(), PublisherPolicy())
        except OfferRefused as error:
            raise Refused(422, str(error)) from error
        self.sitting = grant
        return self._open("publisher", stream, offer, grant, answer)

    async def view(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        self._check()
        if not self.on_air:
            raise Refused(409, "Nothing is on the air.", 5)
        try:
            answer, self.negotiated, _ = answer_viewer(
                offer, _local(), self.on_air, lambda: next(self._ssrcs)
            )
        except OfferRefused as error:
            raise Refused(422, str(error)) from error
        return self._open("viewer", stream, offer, grant, answer)

    def session(self, session_id: str) -> FakeSession | None:
        return self.sessions.get(session_id)

    def _check(self) -> None:
        if self.refuse is not None:
            raise self.refuse

    def _open(
        self,
        kind: Literal["publisher", "viewer"],
        stream: str,
        offer: Offer,
        grant: Grant,
        answer: str,
    ) -> Accepted:
        session = FakeSession(self, kind, stream, grant)
        session.ufrags.append(offer.ice_ufrag)
        self.sessions[session.id] = session
        self.grants.append(grant)
        return Accepted(session.id, session.etag, answer, ("origin", "fake"))


def _local() -> LocalTransport:
    return LocalTransport(secrets.token_hex(4), secrets.token_hex(16), FINGERPRINT, CANDIDATES)
