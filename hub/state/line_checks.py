"""The last line check of each commune, kept over a restart."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from hub.state.line_verdict import LineFigures, judge, sentence

FILE_NAME = "line-checks.json"
log = logging.getLogger(__name__)


class LineCheckBook:
    """By commune: figures, verdict, sentences, and when (seconds since the epoch)."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self._records: dict[str, dict[str, Any]] = {}
        # Reports come from threads, for the disk may be slow; they share one draft.
        self._saving = threading.Lock()
        try:
            loaded = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            loaded = {}
        if isinstance(loaded, dict):
            self._records = {k: v for k, v in loaded.items() if isinstance(v, dict)}

    def of(self, commune: str) -> dict[str, Any] | None:
        """The last check of a commune."""
        return self._records.get(commune)

    def all(self) -> dict[str, dict[str, Any]]:
        """By commune."""
        return dict(self._records)

    def take(self, commune: str, figures: LineFigures, agent: str, at: float) -> dict[str, Any]:
        """Judge and keep a check; the record."""
        verdict = judge(figures)
        vi, en = sentence(verdict)
        record = {
            "at": round(at),
            "verdict": verdict.readiness.value,
            "reasons": list(verdict.reasons),
            "vi": vi,
            "en": en,
            "down_bps": round(figures.down_bps),
            "user_agent": agent[:300],
            **figures.model_dump(mode="json"),
        }
        with self._saving:
            self._records[commune] = record
            self._save()
        return record

    def _save(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(self._records, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            log.error("line checks cannot be written: %s", error.strerror)
