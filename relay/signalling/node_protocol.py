"""The media node as WHIP and WHEP handlers see it; the node implements it, tests fake it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from relay.signalling.offer import Offer, SdpFragment

Scope = Literal["publish", "view", "operate", "relay"]


@dataclass(frozen=True)
class Grant:
    """A verified token.

    subject: commune slug, publisher name, operator name or relay id. stream: "*" for any.
    expires_at: seconds since the epoch. ticket_id: of the ticket, if the token was one.
    path: of a relay's pull: its id and those of the relays that hang on it.
    """

    scope: Scope
    subject: str
    stream: str
    token_id: str
    expires_at: float
    ticket_id: str = ""
    path: tuple[str, ...] = ()


class Refused(Exception):
    """A request that the node will not serve: an HTTP status and a sentence for people."""

    def __init__(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class Redirected(Exception):
    """Another relay serves this request: 307 to `url`, which may carry a ticket."""

    def __init__(self, url: str) -> None:
        super().__init__("redirected")
        self.url = url


@dataclass(frozen=True)
class Accepted:
    """A session was created. etag: opaque, unquoted, unique per ICE session. lineage: ids of the
    nodes through which the stream comes, ours last."""

    session_id: str
    etag: str
    answer_sdp: str
    lineage: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerRequest:
    """What a viewer asks of its picture.

    rid: the layer asked for, None for the node's choice. max_width, max_height: of the place on
    the screen in device pixels, 0 for any. given: the JSON keys that were said; what is not said
    stays as it was.
    """

    given: frozenset[str]
    rid: str | None = None
    max_width: int = 0
    max_height: int = 0


class SignallingSession(Protocol):
    """One WHIP or WHEP session."""

    id: str
    kind: Literal["publisher", "viewer"]
    stream: str
    owner: str
    """token_id of the grant that made it."""
    subject: str
    """Of that grant."""
    key: str
    """Unguessable; does what the owner's token does, for this session alone."""
    etag: str

    @property
    def connected(self) -> bool:
        """Whether its transport was ever up."""

    def knows_ufrag(self, ufrag: str) -> Literal["current", "past", "new"]:
        """Whether the client's ufrag is in use, was in use before a restart, or is new."""

    def add_remote_candidates(self, fragment: SdpFragment) -> None: ...

    def restart_ice(self, fragment: SdpFragment) -> SdpFragment:
        """Take the client's new credentials, return ours with candidates; changes `etag`.

        Raises Refused when no restart is possible; the session stays as it was."""

    def ask_layer(self, request: LayerRequest) -> None:
        """Take a viewer's wish for its picture; a publisher's session has none."""

    async def close(self) -> None: ...


class SignallingNode(Protocol):
    """Creates and finds sessions."""

    async def publish(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """Raises Refused (409 while another publisher is alive, 422, 503 …) or Redirected."""

    async def view(self, stream: str, offer: Offer, grant: Grant) -> Accepted:
        """Raises Refused (409 with retry_after_s when nothing is on air, 422, 429, 503) or
        Redirected."""

    def session(self, session_id: str) -> SignallingSession | None: ...
