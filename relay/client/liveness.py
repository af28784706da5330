"""When a viewer's session is lost (sans-I/O): judged by what arrives, not by its connections.

A node sends RTP, or RTCP at least every 300 ms while its publisher is silent. So nothing at all
means that the node is gone; RTCP without RTP means that nobody speaks, and the session stays.
"""

from __future__ import annotations

from enum import StrEnum

SILENCE_MS = 700.0
"""Neither RTP nor RTCP for so long: the node is out of reach."""
BROKEN_SILENCE_MS = 350.0
"""The same when its event stream has broken too: a killed process. Above a silent node's 300 ms."""
FIRST_SIGN_MS = 2500.0
"""A connected session that has brought nothing at all; a relay may first have to pull."""
FIRST_MEDIA_MS = 5000.0
"""A session that brings RTCP alone from its start, from a node that calls its stream active."""
MAX_REFUSALS = 3
"""ICMP port unreachable in a row; a single one may belong to an older packet."""


class Loss(StrEnum):
    """Why a session was given up."""

    SILENT = "silent"
    BROKEN = "silent after its events broke"
    NO_MEDIA = "no media"
    REFUSED = "port unreachable"
    CLOSED = "closed"


class Liveness:
    """One session from `now_ms` on, when its path came up. Times are monotonic ms."""

    def __init__(self, now_ms: float) -> None:
        self.live_since_ms = now_ms
        self.last_sign_ms: float | None = None
        self.last_media_ms: float | None = None
        self.events_broke = False
        self.inactive = False
        """The node says that its publisher is away."""
        self._refusals = 0

    def on_media(self, now_ms: float) -> None:
        """RTP."""
        self.last_media_ms = now_ms
        self.inactive = False
        self.on_sign(now_ms)

    def on_sign(self, now_ms: float) -> None:
        """RTCP, or RTP."""
        self.last_sign_ms = now_ms
        self._refusals = 0

    def on_refused(self) -> bool:
        """The system says that nobody listens there; True when it has said so often enough."""
        self._refusals += 1
        return self._refusals >= MAX_REFUSALS

    def silent_ms(self, now_ms: float) -> float:
        """Since the last sign, or since the start."""
        last_ms = self.live_since_ms if self.last_sign_ms is None else self.last_sign_ms
        return now_ms - last_ms

    def judge(self, now_ms: float) -> Loss | None:
        """Why the session is lost now, None while it lives."""
        silent_ms = self.silent_ms(now_ms)
        if self.last_sign_ms is None:
            return Loss.NO_MEDIA if silent_ms > FIRST_SIGN_MS else None
        if silent_ms > SILENCE_MS:
            return Loss.SILENT
        if self.events_broke and silent_ms > BROKEN_SILENCE_MS:
            return Loss.BROKEN
        if self.last_media_ms is None and not self.inactive:
            return Loss.NO_MEDIA if now_ms - self.live_since_ms > FIRST_MEDIA_MS else None
        return None
