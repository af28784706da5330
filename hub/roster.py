"""The roster: the wards and communes of the province, read from one validated file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

DEFAULT_ROSTER = Path(__file__).resolve().parent.parent / "configs" / "communes.yaml"
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class RosterError(ValueError):
    """A roster that cannot be used; the text names the file and the fault."""


@dataclass(frozen=True)
class Commune:
    """One site. kind: ward (phường) or commune (xã)."""

    slug: str
    name: str
    kind: Literal["ward", "commune"]
    role: Literal["pilot", "pilot2", "viewer"] = "viewer"

    @property
    def display_name(self) -> str:
        """With its Vietnamese kind: "Phường Thành Đông", "Xã An Phú"."""
        return f"{'Phường' if self.kind == 'ward' else 'Xã'} {self.name}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    slug: str
    name: str
    kind: Literal["ward", "commune"]
    role: Literal["pilot", "pilot2", "viewer"] = "viewer"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    communes: list[_Entry]


class Roster:
    """All sites; `viewers` are those that watch the pilot."""

    def __init__(self, communes: Sequence[Commune]) -> None:
        self.communes = tuple(communes)
        self._by_slug = {c.slug: c for c in self.communes}
        if len(self._by_slug) != len(self.communes):
            raise RosterError("two communes have the same slug")
        for commune in self.communes:
            if not _SLUG.fullmatch(commune.slug):
                raise RosterError(f"slug {commune.slug!r}: only a-z, 0-9 and single dashes")
        pilots = [c for c in self.communes if c.role == "pilot"]
        if len(pilots) != 1:
            raise RosterError(f"there must be exactly one pilot, not {len(pilots)}")
        self.pilot = pilots[0]
        self.viewers = tuple(c for c in self.communes if c is not self.pilot)

    def by_slug(self, slug: str) -> Commune | None:
        """The site of this slug."""
        return self._by_slug.get(slug)

    @classmethod
    def load(cls, path: Path = DEFAULT_ROSTER) -> Roster:
        """Read a roster file. Raises RosterError naming file and fault."""
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            entries = _File.model_validate(raw).communes
            return cls([Commune(e.slug, e.name, e.kind, e.role) for e in entries])
        except OSError as error:
            raise RosterError(f"{path}: cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise RosterError(f"{path}: is not YAML: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RosterError(f"{path}: {where}: {first['msg']}") from error
        except RosterError as error:
            raise RosterError(f"{path}: {error}") from error
