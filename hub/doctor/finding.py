"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """WARN: works, but look at it. FAIL: must be mended before the broadcast."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """subject: what was looked at. text: what was seen. advice: what to do, "" when nothing."""

    subject: str
    level: Level
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "subject": self.subject,
            "level": self.level.value,
            "text": self.text,
            "advice": self.advice,
        }
