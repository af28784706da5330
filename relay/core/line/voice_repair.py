"""How many older frames a viewer's sound carries: none on a good line, two on a very lossy one."""

from __future__ import annotations

LEVELS = ((0.08, 2), (0.01, 1))
"""(loss from which, level), highest first."""
CALM_MS = 10_000.0
"""Less redundancy after the loss has been lower for so long."""
AFFORDED = 0.3
"""Older frames may take this share of what the line carries: they must not cost what they save."""


class VoiceRepair:
    """One viewer. level: as of the last `update`."""

    def __init__(self) -> None:
        self.level = 0
        self._needed_ms = float("-inf")

    def update(
        self,
        loss_ratio: float,
        loss_floor: float,
        *,
        filled: bool,
        line_bps: float,
        voice_bps: float,
        now_ms: float,
    ) -> int:
        """The level. loss_ratio: the worst of what is told of its line. loss_floor: what it loses
        whatever is sent. filled: it has been full lately; what it lost then is no reason to send
        more. line_bps: what it carries beside the sound. voice_bps: of the sound alone."""
        loss = loss_floor if filled else loss_ratio
        wanted = next((level for limit, level in LEVELS if loss >= limit), 0)
        if wanted >= self.level or now_ms - self._needed_ms >= CALM_MS:
            self.level, self._needed_ms = wanted, now_ms
        afforded = AFFORDED * line_bps / max(voice_bps, 1.0)
        self.level = int(min(self.level, afforded))
        return self.level
