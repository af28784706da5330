"""How many older frames a viewer's sound carries: none on a good line, two on a very lossy one."""

from __future__ import annotations

LEVELS = ((0.08, 2), (0.01, 1))
"""(loss from which, level), highest first."""
CALM_MS = 10_000.0
"""Less redundancy after the loss has been lower for so long."""
THIN_BPS = 120_000.0
"""On a line that carries no more, older frames would cost what is left of the sound."""


class VoiceRepair:
    """One viewer. level: as of the last `update`."""

    def __init__(self) -> None:
        self.level = 0
        self._needed_ms = float("-inf")

    def update(
        self, loss_ratio: float, line_bps: float, loss_floor: float, filled: bool, now_ms: float
    ) -> int:
        """The level. loss_ratio: the worst of what is told of its line. line_bps: what the line
        carries of picture beside the sound. loss_floor: what it loses whatever is sent. filled: it
        has been full lately: what it lost then is no reason to send more."""
        loss = loss_floor if filled else loss_ratio
        wanted = next((level for limit, level in LEVELS if loss >= limit), 0)
        if line_bps < THIN_BPS:
            self.level = min(wanted, 1 if loss_floor >= LEVELS[0][0] else 0)
        elif wanted >= self.level or now_ms - self._needed_ms >= CALM_MS:
            self.level, self._needed_ms = wanted, now_ms
        return self.level
