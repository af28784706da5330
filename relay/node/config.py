"""What a media node needs to be told; the hub and the relay command fill it from their files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MediaNodeConfig:
    """streams: names that may be published. media_port: 0 = any free port. addresses: local
    addresses to serve (empty: all). announced: addresses put into candidates instead of our own
    (1:1 NAT). takeover_ms: silence after which another publisher may take the slot.
    consent_timeout_ms: a peer that sends no ICE check for so long is gone (RFC 7675).
    tcp: ICE-TCP beside UDP, on tcp_port (0: the media port's number) and on tcp_extra_port.
    id: of the node, in paths and lineages. takes_publishers: False for a relay.
    """

    streams: tuple[str, ...]
    media_port: int = 0
    addresses: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()
    tcp: bool = True
    tcp_port: int = 0
    tcp_extra_port: int = 0
    max_viewers: int = 700
    max_viewers_per_commune: int = 20
    takeover_ms: float = 2000.0
    consent_timeout_ms: float = 10_000.0
    video_budget_bps: int = 4_000_000
    retry_after_s: int = 2
    id: str = "origin"
    takes_publishers: bool = True
