"""The one configuration file: validated YAML, overridden by environment, overridden by flags.

Environment: WARDCAST_<SECTION>__<KEY>, e.g. WARDCAST_MEDIA__PORT=7000, a list as [a, b]; the two
keys outside sections are WARDCAST_DATA_DIR and WARDCAST_ROSTER. An unknown key or a bad value stops
at start-up with a sentence that names it, the value and what is allowed. docs/configuration.md
explains every key.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hub.roster import DEFAULT_ROSTER
from relay.core.line_check import STREAM as LINE_CHECK
from relay.signalling.ice_servers import DEFAULT_LIFETIME_S, check_stun_uri, check_turn_uri

ENV_PREFIX = "WARDCAST_"
TOP_LEVEL = ("data_dir", "roster")
Port = Annotated[int, Field(ge=0, le=65535)]
Addresses = tuple[str, ...]


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names key, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked_addresses(values: Addresses) -> Addresses:
    for value in values:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an IPv4 or IPv6 address") from None
    return values


class HttpConfig(_Section):
    """The pages and the API: plain HTTP on `port`, HTTPS on `tls_port`.

    tls: off, auto (a certificate of our own) or files. public_url: the origin that links carry,
    when a proxy or another name stands before us. trusted_proxies: addresses whose
    X-Forwarded-For is believed. requests_per_second, request_burst: of one address.
    """

    host: str = "0.0.0.0"
    port: Port = 8080
    tls: Literal["off", "auto", "files"] = "auto"
    tls_port: Port = 8443
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    public_url: Annotated[str, Field(pattern=r"^(https?://[^/\s]+)?$")] = ""
    trusted_proxies: Addresses = ()
    requests_per_second: Annotated[float, Field(gt=0, le=100_000)] = 200.0
    request_burst: Annotated[float, Field(ge=1, le=1_000_000)] = 2000.0

    @model_validator(mode="after")
    def _files_given(self) -> HttpConfig:
        if self.tls == "files" and not (self.tls_certificate and self.tls_key):
            raise ValueError("tls: files needs tls_certificate and tls_key")
        return self

    _addresses = field_validator("trusted_proxies")(_checked_addresses)


class MediaConfig(_Section):
    """The media port. port 0 is any free port.

    addresses: local ones to serve, empty is all. announced: put into ICE candidates instead of our
    own (1:1 NAT). tcp: ICE-TCP for networks that block UDP, on tcp_port (0: the number of `port`)
    and on tcp_extra_port (0: none), e.g. 443.
    takeover_seconds: silence after which another publisher may take the stream.
    consent_seconds: a peer silent for so long is gone.
    """

    port: Port = 7000
    addresses: Addresses = ()
    announced: Addresses = ()
    tcp: bool = True
    tcp_port: Port = 0
    tcp_extra_port: Port = 0
    max_viewers: Annotated[int, Field(ge=1, le=100_000)] = 700
    max_viewers_per_commune: Annotated[int, Field(ge=1, le=10_000)] = 20
    takeover_seconds: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    consent_seconds: Annotated[float, Field(ge=5, le=60)] = 10.0
    video_budget_kbps: Annotated[int, Field(ge=100, le=50_000)] = 4000

    _addresses = field_validator("addresses", "announced")(_checked_addresses)


class StreamConfig(_Section):
    """What is broadcast. extra: further streams that may be published."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "phien-hop"
    title_vi: str = "Phiên họp đầu tiên của chính quyền phường Lê Đại Hành"
    title_en: str = "First session of the new local government, Lê Đại Hành ward"
    extra: tuple[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")], ...] = ("du-phong",)

    @field_validator("name", "extra")
    @classmethod
    def _not_reserved(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if LINE_CHECK in ((value,) if isinstance(value, str) else value):
            raise ValueError(f"'{LINE_CHECK}' is the name under which lines are checked")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """All streams that may be published."""
        return (self.name, *(n for n in self.extra if n != self.name))


class TokenConfig(_Section):
    """Lifetimes in hours."""

    publish_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0
    view_hours: Annotated[float, Field(gt=0, le=8760)] = 72.0
    operate_hours: Annotated[float, Field(gt=0, le=8760)] = 24.0


class MetricsConfig(_Section):
    """open_to: addresses that may read /metrics without a token."""

    open_to: Addresses = ()

    _addresses = field_validator("open_to")(_checked_addresses)


class StoreConfig(_Section):
    """Shared state. redis: URL, empty keeps it in memory. prefix: of every key."""

    redis: Annotated[str, Field(pattern=r"^((redis|rediss)://\S+|unix://\S+)?$")] = ""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9:_-]{0,32}$")] = "wardcast:"


class PlacementConfig(_Section):
    """How the hub places viewers on relays. affinity: relay id to the communes it is for."""

    affinity: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    keep_warm: tuple[str, ...] = ()


class RelayConfig(_Section):
    """`wardcast relay` alone; http, media, metrics and log are those of the process.

    hub: its base URL. upstreams: base URLs to pull from instead of the origins that the hub names.
    token_file: holds the relay token (or $WARDCAST_RELAY_TOKEN). origin: takes publishers.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    hub: Annotated[str, Field(pattern=r"^(https?://[^\s?#]+)?$")] = ""
    upstreams: tuple[Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")], ...] = ()
    token_file: Path | None = None
    ca_file: Path | None = None
    origin: bool = False
    capacity: Annotated[int, Field(ge=1, le=100_000)] = 500
    affinity: tuple[str, ...] = ()
    keep_warm: tuple[str, ...] = ()
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 20.0
    linger_seconds: Annotated[float, Field(ge=0, le=3600)] = 15.0


class TurnConfig(_Section):
    """TURN servers that clients are told of, and STUN servers.

    secret_file: holds what we share with the TURN servers (or $WARDCAST_TURN_SECRET).
    lifetime_seconds: in which a credential makes allocations; those that are made live on.
    """

    urls: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    stun_urls: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    secret_file: Path | None = None
    lifetime_seconds: Annotated[float, Field(ge=60, le=86_400)] = DEFAULT_LIFETIME_S

    @field_validator("urls")
    @classmethod
    def _turn(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_turn_uri, values))

    @field_validator("stun_urls")
    @classmethod
    def _stun(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_stun_uri, values))


class LogConfig(_Section):
    """level and format of the log on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class HubConfig(_Section):
    """The whole file. data_dir: keys, certificate, attendance."""

    data_dir: Path = Path("var")
    roster: Path = DEFAULT_ROSTER
    http: HttpConfig = HttpConfig()
    media: MediaConfig = MediaConfig()
    stream: StreamConfig = StreamConfig()
    tokens: TokenConfig = TokenConfig()
    metrics: MetricsConfig = MetricsConfig()
    store: StoreConfig = StoreConfig()
    placement: PlacementConfig = PlacementConfig()
    relay: RelayConfig = RelayConfig()
    turn: TurnConfig = TurnConfig()
    log: LogConfig = LogConfig()


def load_config(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> HubConfig:
    """File, then environment, then flags ("http.port": 8080). Raises ConfigError."""
    tree = _read(path) if path is not None else {}
    origins: dict[str, str] = {}
    for name, value in sorted(environment.items()):
        keys = _keys_of(name)
        if keys:
            _put(tree, keys, _parse(value, name), name)
            origins[".".join(keys)] = f"environment variable {name}"
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _put(tree, dotted.split("."), value, dotted)
            origins[dotted] = "command line"
    try:
        return HubConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_sentences(error, str(path or "configuration"), origins)) from error


def _keys_of(variable: str) -> list[str]:
    name = variable.removeprefix(ENV_PREFIX).lower()
    if name == variable.lower():
        return []
    return name.split("__") if "__" in name or name in TOP_LEVEL else []


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: must be a mapping of sections")
    return tree


def _put(tree: dict[str, Any], keys: list[str], value: Any, source: str) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"{source}: '{key}' is not a section")
        tree = branch
    tree[keys[-1]] = value


def _parse(value: str, name: str) -> Any:
    """Lists are YAML; everything else is text that the key's type reads (a title may hold ': ')."""
    if not value.startswith("["):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"environment variable {name}: {value!r} is not a list [a, b]") from error


def _sentences(error: ValidationError, path: str, origins: Mapping[str, str]) -> str:
    sentences = []
    for fault in error.errors():
        keys = [str(part) for part in fault["loc"]]
        dotted = ".".join(keys)
        origin = origins.get(dotted, path)
        if fault["type"] == "extra_forbidden":
            sentences.append(f"{origin}: unknown key '{dotted}'; {_known(keys)}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            given = "" if isinstance(fault["input"], dict) else f" (given: {fault['input']!r})"
            sentences.append(f"{origin}: '{dotted}': {message}{given}")
    return "\n".join(sentences)


def _known(keys: list[str]) -> str:
    """What may stand where an unknown key stood."""
    fields = HubConfig.model_fields
    if len(keys) > 1:
        section = fields[keys[0]].annotation
        fields = getattr(section, "model_fields", fields)
    close = difflib.get_close_matches(keys[-1], fields, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(fields)}"
