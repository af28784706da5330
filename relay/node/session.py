"""What a publisher's and a viewer's session share: identity, transport, ICE restart, closing."""

from __future__ import annotations

import secrets
from collections import deque
from typing import Literal

from relay.signalling.node_protocol import Grant, LayerRequest
from relay.signalling.offer import Offer, SdpFragment
from relay.transport.peer import CloseReason, Peer, PeerHandler, PeerParameters
from relay.transport.port import MediaPort

MAX_UFRAGS = 16


class IceCredentials:
    """A fresh ufrag and password of ours (RFC 8445 section 5.3)."""

    def __init__(self) -> None:
        self.ufrag = secrets.token_hex(6)
        self.pwd = secrets.token_hex(16)


class MediaSession:
    """One WHIP or WHEP session over one peer.

    id: unguessable. etag: of the current ICE session. owner: token_id of its grant.
    subject: commune slug, publisher name or relay id. key: stands for the owner's token on a
    session made with a ticket. created_ms: monotonic milliseconds.
    """

    def __init__(
        self,
        kind: Literal["publisher", "viewer"],
        stream: str,
        grant: Grant,
        port: MediaPort,
        credentials: IceCredentials,
        created_ms: float,
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.key = secrets.token_urlsafe(24)
        self.kind: Literal["publisher", "viewer"] = kind
        self.stream = stream
        self.grant = grant
        self.owner = grant.token_id
        self.subject = grant.subject
        self.etag = secrets.token_hex(8)
        self.credentials = credentials
        self.created_ms = created_ms
        self.connected_ms: float | None = None
        self.closed_reason: CloseReason | None = None
        self._port = port
        self._peer: Peer | None = None
        self._remote_ufrags: deque[str] = deque(maxlen=MAX_UFRAGS)

    @property
    def connected(self) -> bool:
        """Whether DTLS was ever up."""
        return self.connected_ms is not None

    @property
    def peer(self) -> Peer:
        """The transport; set by `attach`."""
        if self._peer is None:
            raise RuntimeError("session has no peer yet")
        return self._peer

    @property
    def voice_ssrcs(self) -> frozenset[int]:
        """Audio that we send: it goes before video where the line is slow."""
        return frozenset()

    def attach(
        self, offer: Offer, dtls_role: Literal["server", "client"], handler: PeerHandler
    ) -> Peer:
        """Open the transport that the offer and our answer agreed on."""
        self._remote_ufrags.append(offer.ice_ufrag)
        self._peer = self._port.add_peer(
            PeerParameters(
                local_ufrag=self.credentials.ufrag,
                local_pwd=self.credentials.pwd,
                remote_ufrag=offer.ice_ufrag,
                remote_pwd=offer.ice_pwd,
                remote_fingerprints=offer.fingerprints,
                dtls_role=dtls_role,
                ice_role="lite",
                voice_ssrcs=self.voice_ssrcs,
            ),
            handler,
        )
        return self._peer

    def knows_ufrag(self, ufrag: str) -> Literal["current", "past", "new"]:
        """Whether the client's ufrag is in use, was in use before a restart, or is new."""
        if self._remote_ufrags and ufrag == self._remote_ufrags[-1]:
            return "current"
        return "past" if ufrag in self._remote_ufrags else "new"

    def add_remote_candidates(self, fragment: SdpFragment) -> None:
        """An ICE-lite agent learns addresses from checks: the client's candidates tell nothing."""

    def restart_ice(self, fragment: SdpFragment) -> SdpFragment:
        """RFC 9725 section 4.3.3: new credentials on both sides, media uninterrupted."""
        self.credentials = IceCredentials()
        self._remote_ufrags.append(fragment.ice_ufrag)
        self.peer.restart_ice(
            self.credentials.ufrag, self.credentials.pwd, fragment.ice_ufrag, fragment.ice_pwd
        )
        self.etag = secrets.token_hex(8)
        return fragment.answer(self.credentials.ufrag, self.credentials.pwd, self._port.candidates)

    def ask_layer(self, request: LayerRequest) -> None:
        """Only viewers are sent a picture."""

    async def close(self) -> None:
        """DELETE: DTLS close_notify, everything freed."""
        if self._peer is not None:
            self._peer.close(CloseReason.DELETED)
