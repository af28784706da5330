"""What a relay remembers of the hub between starts, so that it can serve while the hub is away."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

log = logging.getLogger(__name__)


class HubMemory(BaseModel):
    """What the hub last said in `welcome`, `directory` and `revoked`."""

    streams: tuple[str, ...] = ()
    public_keys: tuple[str, ...] = ()
    keep_warm: tuple[str, ...] = ()
    revoked: dict[str, int] = Field(default_factory=dict)
    origins: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> HubMemory:
        """From a file; empty when there is none that can be read."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError):
            log.warning("%s cannot be read: waiting for the hub", path)
            return cls()

    def save(self, path: Path) -> None:
        """Into a file, whole or not at all. A full disk costs only the memory."""
        draft = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(self.model_dump_json(indent=1), encoding="utf-8")
            os.replace(draft, path)
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error.strerror)
