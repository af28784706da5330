"""Whether a stream is on the air: a small machine as a table.

`OFF` nobody publishes · `ON_AIR` packets flow · `SILENT` a publisher is there but sends nothing.
Viewers are told when `ON_AIR` is entered (`active`) and left (`inactive`).
"""

from __future__ import annotations

from enum import StrEnum

SILENCE_MS = 2000.0


class AirState(StrEnum):
    """State of a stream."""

    OFF = "off"
    ON_AIR = "on_air"
    SILENT = "silent"


class AirInput(StrEnum):
    """What can happen to it."""

    MEDIA = "media"
    SILENCE = "silence"
    PUBLISHER_LEFT = "publisher_left"


TRANSITIONS: dict[tuple[AirState, AirInput], AirState] = {
    (AirState.OFF, AirInput.MEDIA): AirState.ON_AIR,
    (AirState.SILENT, AirInput.MEDIA): AirState.ON_AIR,
    (AirState.ON_AIR, AirInput.SILENCE): AirState.SILENT,
    (AirState.ON_AIR, AirInput.PUBLISHER_LEFT): AirState.OFF,
    (AirState.SILENT, AirInput.PUBLISHER_LEFT): AirState.OFF,
}


class OnAir:
    """The machine; inputs that a state has no row for change nothing."""

    def __init__(self) -> None:
        self.state = AirState.OFF
        self.since_ms: float | None = None
        self.last_media_ms = float("-inf")

    def media(self, now_ms: float) -> str | None:
        """Packets came. Returns "active" when viewers are to be told."""
        self.last_media_ms = now_ms
        return self._move(AirInput.MEDIA, now_ms)

    def poll(self, now_ms: float) -> str | None:
        """Returns "inactive" when the silence has just become too long."""
        if now_ms - self.last_media_ms < SILENCE_MS:
            return None
        return self._move(AirInput.SILENCE, now_ms)

    def publisher_left(self, now_ms: float) -> str | None:
        """The last publisher is gone."""
        return self._move(AirInput.PUBLISHER_LEFT, now_ms)

    def _move(self, event: AirInput, now_ms: float) -> str | None:
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return None
        before, self.state, self.since_ms = self.state, after, now_ms
        if after == AirState.ON_AIR:
            return "active"
        return "inactive" if before == AirState.ON_AIR else None
