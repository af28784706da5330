"""How many older frames a viewer's sound carries: none on a good line, two on a very lossy one."""

from __future__ import annotations

LEVELS = ((0.08, 2), (0.01, 1))
"""(loss from which, level), highest first."""
CALM_MS = 10_000.0
"""Less redundancy after the loss has been lower for so long."""
THIN_BPS = 100_000.0
"""On a line that carries no more, older frames would cost what is left of the sound."""


class VoiceRepair:
    """One viewer. level: as of the last `update`."""

    def __init__(self) -> None:
        self.level = 0
        self._needed_ms = float("-inf")

    def update(self, loss_ratio: float, line_bps: float, now_ms: float) -> int:
        """loss_ratio: the worst of what is told of its line. line_bps: what the line carries of
        picture beside the sound. Returns the level."""
        wanted = next((level for loss, level in LEVELS if loss_ratio >= loss), 0)
        if line_bps < THIN_BPS:
            wanted = min(wanted, 1)
        if wanted >= self.level or now_ms - self._needed_ms >= CALM_MS:
            self.level, self._needed_ms = wanted, now_ms
        return self.level
