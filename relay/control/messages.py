"""What a relay and the hub say to each other on the link: one JSON object a WebSocket message.

`type` names the message. Unknown types and unknown keys are ignored, so that hub and relays of
neighbouring versions understand each other through a rolling update. docs/relay-tier.md tells when
each is sent.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from relay.node.snapshot import NodeSnapshot

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A report of 700 viewers has about 500 KB."""
MAX_FAULTS = 20
"""To name the first of millions takes seconds: past so many, they are only counted."""

Name = Annotated[str, Field(min_length=1, max_length=128)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=512)]


class MessageError(ValueError):
    """A message that cannot be read."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


# -- relay to hub


class Hello(_Message):
    """First message. base_url: origin of its HTTP, as viewers reach it; https_url: the same over
    TLS, "" when it has none. instance: new at each start of the process. capacity: viewers that it
    can carry. affinity: communes that it is for."""

    type: Literal["hello"] = "hello"
    id: Name
    instance: Name
    role: Literal["relay", "origin"] = "relay"
    version: str
    pid: int
    base_url: Url
    https_url: str = ""
    media_port: int
    media_addresses: tuple[str, ...] = ()
    capacity: Annotated[int, Field(ge=1)]
    affinity: tuple[str, ...] = ()


class Beat(_Message):
    """Five a second. viewers: of communes, connected or coming up. cpu: share of one core, 0 … 1.
    lag_ms: how late timers fired of late. upstream: of the main stream's pull."""

    type: Literal["beat"] = "beat"
    viewers: Annotated[int, Field(ge=0)]
    ready: bool
    draining: bool
    cpu: float = 0.0
    lag_ms: float = 0.0
    upstream: Literal["none", "connecting", "live", "silent", "lost"] = "none"


class Report(_Message):
    """Once a second: everything that can be seen of the node."""

    type: Literal["report"] = "report"
    snapshot: NodeSnapshot


# -- hub to relay


class Directory(_Message):
    """Sent after `welcome` and when it changes. origins: base URLs to pull from, best first.
    relays: base URLs of relays that viewers may move to, those of this relay left out."""

    type: Literal["directory"] = "directory"
    origins: tuple[Url, ...] = ()
    relays: tuple[Url, ...] = ()


class LayerPin(_Message):
    """An operator's choice of layer for a commune; null takes it back."""

    type: Literal["layer-pin"] = "layer-pin"
    commune: Name
    rid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None


class Welcome(_Message):
    """Answer to `hello`. streams: names that may be broadcast. public_keys: PEM, of tokens.
    keep_warm: streams to pull without viewers. revoked: "<scope>.<subject>" to nanoseconds."""

    type: Literal["welcome"] = "welcome"
    streams: tuple[str, ...]
    public_keys: tuple[str, ...]
    keep_warm: tuple[str, ...] = ()
    revoked: dict[str, int] = Field(default_factory=dict)
    layer_pins: tuple[LayerPin, ...] = ()


class Revoked(_Message):
    """Tokens of `owner` ("<scope>.<subject>") until `until_ns` are void: sessions end."""

    type: Literal["revoked"] = "revoked"
    owner: str
    until_ns: int


class Move(_Message):
    """Tell a viewer to go elsewhere: a `reconnect` event with this URL."""

    type: Literal["move"] = "move"
    session: str
    url: str


class Close(_Message):
    """End a session."""

    type: Literal["close"] = "close"
    session: str


class Keyframe(_Message):
    """Ask the publisher of a stream for a key frame."""

    type: Literal["keyframe"] = "keyframe"
    stream: str


class Drain(_Message):
    """Take no viewer any more; exit: end the process once all have left or the time is over."""

    type: Literal["drain"] = "drain"
    exit: bool = False


_T = TypeVar("_T")
FromRelay = Annotated[Hello | Beat | Report, Field(discriminator="type")]
ToRelay = Annotated[
    Welcome | Directory | Revoked | Move | Close | Keyframe | Drain | LayerPin,
    Field(discriminator="type"),
]
_FROM_RELAY: TypeAdapter[Hello | Beat | Report] = TypeAdapter(FromRelay)
_TO_RELAY: TypeAdapter[
    Welcome | Directory | Revoked | Move | Close | Keyframe | Drain | LayerPin
] = TypeAdapter(ToRelay)


def encode_message(message: BaseModel) -> str:
    """As text for the WebSocket."""
    return message.model_dump_json()


def read_from_relay(text: str) -> Hello | Beat | Report | None:
    """A relay's message, None for a type of another version. Raises MessageError."""
    return _read(_FROM_RELAY, text)


def read_from_hub(
    text: str,
) -> Welcome | Directory | Revoked | Move | Close | Keyframe | Drain | LayerPin | None:
    """The hub's message, None for a type of another version. Raises MessageError."""
    return _read(_TO_RELAY, text)


def _read(adapter: TypeAdapter[_T], text: str) -> _T | None:
    if len(text) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message: longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS:
            raise MessageError(f"message: {error.error_count()} faults") from None
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "union_tag_invalid":
            return None
        where = ".".join(map(str, first["loc"]))
        raise MessageError(f"{where or 'message'}: {first['msg']}") from None
