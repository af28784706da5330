"""Server-sent events as the WHEP events extension uses them (HTML standard, section 9.2.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass

MAX_EVENT_CHARS = 64 * 1024
"""Longest event kept; a server that sends more is not one of ours."""


@dataclass(frozen=True)
class ServerEvent:
    """name: "active", "inactive", "reconnect", … ; data: parsed JSON, or the raw text."""

    name: str
    data: object


class EventParser:
    """Incremental parser of `text/event-stream`; feed text, get whole events."""

    def __init__(self) -> None:
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, text: str) -> list[ServerEvent]:
        """Events completed by `text`. Raises ValueError on an event beyond MAX_EVENT_CHARS."""
        # A CR at the end may be half of CRLF: it waits for the next piece.
        text = self._rest + text
        held = "\r" if text.endswith("\r") else ""
        body = text[: len(text) - len(held)].replace("\r\n", "\n").replace("\r", "\n")
        *lines, last = body.split("\n")
        self._rest = last + held
        if len(self._rest) > MAX_EVENT_CHARS:
            raise ValueError("event stream line is too long")
        events = []
        for line in lines:
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._size += len(value)
            if self._size > MAX_EVENT_CHARS:
                raise ValueError("event is too long")
            self._data.append(value)
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, text = self._name or "message", "\n".join(self._data)
        had_data = bool(self._data)
        self._name, self._data, self._size = "", [], 0
        if not had_data:
            return None
        try:
            data: object = json.loads(text)
        except ValueError:
            data = text
        return ServerEvent(name, data)
